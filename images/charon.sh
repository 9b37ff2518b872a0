# charon.sh: builds strongSwan from Debian's source package into /build/out, with the plugins that
# deploy/strongswan.conf loads and no others.
set -eu
site=$(apt-get indextargets --format '$(RELEASE) $(SITE)' 'Created-By: Packages' | awk '$1 !~ /security/ {print $2; exit}')
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $STRONGSWAN_SUITE main" \
  > /etc/apt/sources.list.d/strongswan.list
apt-get -q ${APT_OPTIONS:-} update
apt-get -q -y --no-install-recommends install gcc make libc6-dev libssl-dev libcap-dev pkgconf dpkg-dev netbase
cd /build
apt-get -q ${APT_OPTIONS:-} source strongswan
cd strongswan-*/
dpkg-parsechangelog -S Version > /build/strongswan-version

plugins=$(sed -n 's/^ *load = //p' /build/strongswan.conf)
enabled=
for plugin in $plugins; do enabled="$enabled --enable-$plugin"; done
./configure -q --prefix=/usr --sysconfdir=/etc --libexecdir=/usr/lib --with-ipsecdir=/usr/lib/ipsec --with-piddir=/run \
  --with-capabilities=libcap --disable-defaults --enable-charon --enable-ikev2 --enable-swanctl $enabled \
  CFLAGS='-O2 -g0 -fstack-protector-strong -D_FORTIFY_SOURCE=3 -fPIE -Wno-trigraphs' LDFLAGS='-Wl,-z,relro,-z,now'
make -s -j "$(nproc)"
make -s install DESTDIR=/build/out
