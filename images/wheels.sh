# wheels.sh ARGUMENT...: installs what the arguments of pip name into /opt/isthmus, without dependencies.
set -eu
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_CONSTRAINT=/build/constraints.txt
export PYTHONDONTWRITEBYTECODE=1 SOURCE_DATE_EPOCH=0
if [ -z "${PIP_CERT:-}" ]; then unset PIP_CERT; fi
pip install -q --no-compile --no-cache-dir --no-deps --target /opt/isthmus "$@"
rm -rf /opt/isthmus/bin
find /opt/isthmus -depth -type d \( -name tests -o -name test -o -name __pycache__ \) -exec rm -rf {} +
# Where it was installed from, which differs from build to build.
find /opt/isthmus -name direct_url.json -delete
python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash -s /opt/isthmus -p /opt/isthmus /opt/isthmus
