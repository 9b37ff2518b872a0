# charon-root.sh: the root file system of charon in /root-fs: what charon.sh built, and the libraries that it needs.
set -eu
root=/root-fs out=/build/out
mkdir -p $root/etc $root/usr/bin $root/usr/sbin $root/usr/lib $root/usr/lib64 $root/var/lib/dpkg \
  $root/proc $root/sys $root/dev $root/run
mkdir -m 1777 $root/tmp
for directory in bin sbin lib lib64; do ln -s usr/$directory $root/$directory; done
ln -s /run $root/var/run

mkdir -p $root/usr/lib/ipsec
cp -a $out/usr/lib/ipsec/. $root/usr/lib/ipsec/
rm -rf $root/usr/lib/ipsec/xfrmi
cp -a $out/usr/sbin/swanctl $root/usr/sbin/
find $root/usr/lib/ipsec -name '*.la' -delete
find $root/usr -type f \( -name '*.so*' -o -name charon -o -name swanctl \) -exec strip --strip-unneeded {} +

libraries() {
  # glibc loads libgcc_s when a thread is cancelled: charon would abort at its end without it.
  LD_LIBRARY_PATH=$out/usr/lib/ipsec ldd $out/usr/lib/ipsec/charon $out/usr/sbin/swanctl $out/usr/lib/ipsec/plugins/*.so |
    sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^\s*\(\/lib[^ ]*\) (.*/\1/p' | grep -v "^$out"
  gcc -print-file-name=libgcc_s.so.1
}
# netbase: names of protocols in traffic selectors are looked up in /etc/protocols.
echo netbase > /build/packages
libraries | sort -u | while read -r library; do
  real=$(realpath "$library")
  mkdir -p "$root$(dirname "$real")"
  cp "$real" "$root$(dirname "$real")/$(basename "$library")"
  dpkg-query -S "$real" | cut -d: -f1 >> /build/packages
done
# The loader's path is fixed in every program.
for loader in /lib64/ld-linux-*.so.* /lib/ld-linux-*.so.*; do
  [ -e "$loader" ] && [ ! -e "$root$loader" ] && cp -L "$loader" "$root$loader"
done
cp /etc/protocols $root/etc/
licence() {
  mkdir -p "$root/usr/share/doc/$1"
  cp "$2" "$root/usr/share/doc/$1/copyright"
}
licence strongswan /build/strongswan-*/debian/copyright
for package in $(sort -u /build/packages); do
  licence "$package" "/usr/share/doc/$package/copyright"
  dpkg-query -s "$package" | sed '/^Conffiles:/,/^[^ ]/{/^Conffiles:/d;/^ /d}'
  echo
done > $root/var/lib/dpkg/status
cat >> $root/var/lib/dpkg/status <<END
Package: strongswan
Status: install ok installed
Architecture: $(dpkg --print-architecture)
Version: $(cat /build/strongswan-version)
Maintainer: built from Debian's source package
Description: charon and swanctl

END

sed 's#unix:///run/charon.vici#unix:///run/isthmus/charon.vici#' /build/strongswan.conf > $root/etc/strongswan.conf
grep -q run/isthmus/charon.vici $root/etc/strongswan.conf
printf 'root:x:0:0:root:/:/nonexistent\n' > $root/etc/passwd
printf 'root:x:0:\n' > $root/etc/group
