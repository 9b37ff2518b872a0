# root.sh PACKAGE...: unpacks packages and what they depend on into /root-fs, without what only their maintainer
# scripts need: shell, package manager, Perl.
set -eu
root=/root-fs debs=/build/debs
lib=usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || python3 -c 'import sysconfig; print(sysconfig.get_config_var("MULTIARCH"))')

mkdir -p $debs/partial $root/usr/bin $root/usr/sbin $root/usr/lib $root/usr/lib64 $root/etc/ssl/certs \
  $root/var/lib/dpkg $root/proc $root/sys $root/dev $root/run
mkdir -m 1777 $root/tmp
for directory in bin sbin lib lib64; do ln -s usr/$directory $root/$directory; done
ln -s /run $root/var/run

# As on a system on which nothing is installed.
: > /build/empty-status
apt-get -q -y -o Dir::State::status=/build/empty-status -o Dir::Cache::archives=$debs -o APT::Install-Recommends=false \
  --download-only install "$@"

for deb in $debs/*.deb; do
  name=$(dpkg-deb -f "$deb" Package)
  case $name in
    bash | dash | coreutils | mawk | dpkg | tar | debconf | cdebconf | perl-base | openssl | sed | grep | diffutils | findutils) continue ;;
    init-system-helpers | sensible-utils | libdb5.3* | hostname | login* | passwd | util-linux | bsdutils) continue ;;
  esac
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C $root --keep-directory-symlink \
    --exclude "./usr/share/man/*" --exclude "./usr/share/info/*" \
    --exclude "./usr/share/locale/*" --exclude "./usr/share/bash-completion/*" --exclude "./usr/share/lintian/*" \
    --exclude "./$lib/gconv/*"
  # So that scanners know what is in the image.
  { dpkg-deb -f "$deb"; echo "Status: install ok installed"; echo; } >> $root/var/lib/dpkg/status
done

# Of the documentation only the licences; several packages link to those of another one.
find $root/usr/share/doc -type f ! -name copyright -delete
find $root/usr/share/doc -xtype l -delete
find $root/usr/share/doc -type d -empty -delete

# What the maintainer scripts would have done.
if [ -d $root/usr/share/ca-certificates ]; then
  cat $root/usr/share/ca-certificates/mozilla/*.crt > $root/etc/ssl/certs/ca-certificates.crt
  rm -rf $root/usr/share/ca-certificates
fi
printf 'root:x:0:0:root:/:/nonexistent\nisthmus:x:65532:65532:isthmus:/:/nonexistent\n' > $root/etc/passwd
printf 'root:x:0:\nisthmus:x:65532:\n' > $root/etc/group
# Scripts that need a shell, and what no process of ours reads.
rm -rf $root/usr/share/zoneinfo $root/var/cache $root/var/log $root/var/tmp $root/var/lock $root/etc/init.d \
  $root/etc/cron.* $root/etc/default $root/usr/share/bug $root/usr/share/openvswitch/scripts
# Of Open vSwitch only ovs-ofctl is used: the agent speaks to the database itself.
rm -f $root/usr/sbin/ovsdb-server $root/usr/bin/ovsdb-* $root/usr/bin/ovs-appctl $root/usr/bin/ovs-dpctl \
  $root/usr/bin/ovs-pki $root/usr/bin/ovs-parse-backtrace $root/usr/bin/vtep-ctl
# .pyc files whose time stamps do not count: the root is read-only, and times are those of the build.
for python in $root/usr/lib/python3.[0-9]*; do
  rm -rf "$python/test" "$python/pydoc_data" "$python"/lib-dynload/_test*
  python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash -s $root -p / "$python"
done
find $root -xdev -type f -perm /6000 -exec chmod a-s {} +
