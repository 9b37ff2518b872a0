# wheels.sh ARGUMENT...: installs what the arguments of pip name into /opt/isthmus, without dependencies.
set -eu
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_CONSTRAINT=/build/constraints.txt
# ZIP has no earlier times.
export PYTHONDONTWRITEBYTECODE=1 SOURCE_DATE_EPOCH=315532800
if [ -z "${PIP_CERT:-}" ]; then unset PIP_CERT; fi
pip install -q --no-compile --no-cache-dir --no-deps --target /opt/isthmus "$@"
# The second client of package kubernetes is as large as everything else, and nothing imports it.
rm -rf /opt/isthmus/bin /opt/isthmus/kubernetes/aio
# setuptools is in the lock files because pbr declares it, for builds.
rm -rf /opt/isthmus/setuptools /opt/isthmus/setuptools-* /opt/isthmus/pkg_resources /opt/isthmus/_distutils_hack \
  /opt/isthmus/distutils-precedence.pth
# Vendors of MAC addresses: larger than the rest of netaddr, and nobody here asks who made a network card.
rm -f /opt/isthmus/netaddr/eui/*.txt
# Several wheels are built with debugging information.
find /opt/isthmus -name '*.so*' -type f -exec strip --strip-unneeded {} +
find /opt/isthmus -depth -type d \( -name tests -o -name test -o -name __pycache__ \) -exec rm -rf {} +
# Where it was installed from, which differs from build to build.
find /opt/isthmus -name direct_url.json -delete
python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash -s /opt/isthmus -p /opt/isthmus /opt/isthmus
