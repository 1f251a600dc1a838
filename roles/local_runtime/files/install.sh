# shellcheck shell=sh
# Makes a virtual environment of the packages of the lock file on standard input. Its arguments: the environment, the interpreter to make it
# with, the interpreter whose pip installs ('' for its own), and pip's arguments.
#
# It may be killed anywhere: what counts is the file .complete, which is written last. It runs under a lock: what another run has completed
# meanwhile is left as it is.
environment=$1 python=$2 installer=$3
shift 3
[ ! -e "$environment/.complete" ] || exit 0
rm -rf "$environment"
if [ -n "$installer" ]; then
  # a pip of its own in each environment takes 20 MB and seconds, and the services have no use for it
  "$python" -m venv --without-pip "$environment"
  set -- --python "$environment/bin/python" "$@"
else
  "$python" -m venv "$environment"
  installer=$environment/bin/python
fi
cat >"$environment/requirements.txt"
"$installer" -m pip "$@" --no-compile --require-hashes --only-binary :all: -r "$environment/requirements.txt"
# The services cannot write here, so what is not compiled now is compiled at each start. On all processors, which pip does not do, and without
# the packages' tests: a quarter of MLflow's environment, which nobody runs. Files for other versions of Python do not compile, which is no error.
"$environment/bin/python" -m compileall -q -j 0 -x '/tests?/' "$environment/lib" >/dev/null 2>&1 || :
basename "$environment" >"$environment/.complete.new"
mv "$environment/.complete.new" "$environment/.complete"
