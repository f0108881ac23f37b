#!/bin/bash
# Build etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl into a folder, from Debian bookworm alone.
#
# usage: build_control_plane.sh FOLDER        prints what it does on stderr; FOLDER/bin has the five programs afterwards
#
# Debian's source package "kubernetes" (1.20.2) is the whole upstream tree with its vendored modules; Debian's Go 1.19 compiles it;
# etcd is Debian's binary. Nothing is installed and nothing outside of FOLDER is written: own apt lists, packages only unpacked.
# Needs no root. Every stage leaves a stamp, and Go has its cache in FOLDER: an interrupted build goes on where it was.
# About 8 CPU minutes, 1.5 GiB of memory, 4 GiB of disk while it builds and 0.3 GiB afterwards.
set -euo pipefail

VERSION=v1.20.2
SUITE=bookworm
PROGRAMS="kube-apiserver kube-controller-manager kube-scheduler kubectl"
COMPLETE=complete-$VERSION-kubectl
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

say() { echo "build_control_plane: $*" >&2; }
give_up() { say "$*"; exit 1; }

[ $# -eq 1 ] || give_up "usage: build_control_plane.sh FOLDER"
FOLDER=$(realpath -m -- "$1")
[ -f "$FOLDER/bin/$COMPLETE" ] && exit 0

for tool in apt-get dpkg dpkg-deb flock tar realpath; do
  command -v "$tool" >/dev/null || give_up "this machine has no $tool: the build needs Debian (or a system with Debian's apt and dpkg)"
done
[ -r $KEYRING ] || give_up "this machine has no $KEYRING (package debian-archive-keyring): Debian's archive cannot be verified"
mkdir -p "$FOLDER"/{stamps,bin,packages,root,source,apt/{lists/partial,cache/archives/partial,parts}} || give_up "cannot write to $FOLDER"
[ "$(df --output=avail -k "$FOLDER" | tail -1)" -gt $((4 * 1024 * 1024)) ] || give_up "less than 4 GiB free in $FOLDER"

exec 9>"$FOLDER/lock"
flock -n 9 || { say "another build is under way in $FOLDER; waiting for it"; flock 9; }
[ -f "$FOLDER/bin/$COMPLETE" ] && exit 0
renice -n 19 $$ >/dev/null

done_already() { [ -f "$FOLDER/stamps/$1" ]; }
stamp() { touch "$FOLDER/stamps/$1"; }

cat > "$FOLDER/apt/sources.list" <<LIST
deb [signed-by=$KEYRING] ${DEBIAN_MIRROR:-http://deb.debian.org/debian} $SUITE main
deb-src [signed-by=$KEYRING] ${DEBIAN_MIRROR:-http://deb.debian.org/debian} $SUITE main
LIST
cat > "$FOLDER/apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$FOLDER/apt/sources.list";
Dir::Etc::sourceparts "$FOLDER/apt/parts";
Dir::State::lists "$FOLDER/apt/lists";
Dir::Cache "$FOLDER/apt/cache";
APT::Sandbox::User "";
CONF
export APT_CONFIG=$FOLDER/apt/apt.conf

if ! done_already fetched; then
  say "fetching Go, etcd and the source of Kubernetes from Debian $SUITE"
  apt-get -qq -o APT::Update::Error-Mode=any update || give_up "no package lists from ${DEBIAN_MIRROR:-http://deb.debian.org/debian}: the build needs the network once (DEBIAN_MIRROR names another mirror)"
  (cd "$FOLDER/packages" &&
    apt-get -qq download golang-1.19-go golang-1.19-src etcd-server golang-github-modern-go-reflect2-dev) || give_up "Debian's packages could not be fetched"
  (cd "$FOLDER/source" && apt-get -qq source --download-only kubernetes) || give_up "Debian's source package kubernetes could not be fetched (is deb-src served by the mirror?)"
  stamp fetched
fi

export GOROOT=$FOLDER/root/usr/lib/go-1.19 GOPATH=$FOLDER/gopath GOCACHE=$FOLDER/gocache
export GO111MODULE=off GOFLAGS= CGO_ENABLED=0 PATH=$GOROOT/bin:$PATH
TREE=$GOPATH/src/k8s.io/kubernetes

if ! done_already unpacked; then
  say "unpacking"
  for package in "$FOLDER"/packages/*.deb; do dpkg -x "$package" "$FOLDER/root"; done
  rm -rf "$TREE"
  mkdir -p "$TREE"
  tar xf "$FOLDER"/source/kubernetes_*"${VERSION#v}".orig.tar.gz -C "$TREE" --strip-components=1
  # The vendored reflect2 1.0.1 crashes the API server when built with Go >= 1.18 (SIGSEGV in a map iteration, upstream issue 26);
  # Debian's 1.0.2 is the fixed release.
  rm -rf "$TREE/vendor/github.com/modern-go/reflect2"
  cp -rL "$FOLDER/root/usr/share/gocode/src/github.com/modern-go/reflect2" "$TREE/vendor/github.com/modern-go/"
  rm -f "$TREE"/vendor/github.com/modern-go/reflect2/*_test.go
  stamp unpacked
fi

cd "$TREE"
if ! done_already generated; then
  say "generating the one file that the tree lacks: the OpenAPI definitions"
  go build -o "$FOLDER/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
  packages=$(grep -rl '+k8s:openapi-gen=' pkg cmd staging/src --include=*.go |
    grep -vE '/(sample-apiserver|code-generator|sample-controller|kube-aggregator/pkg/generated|apiextensions-apiserver/pkg/generated)/' |
    xargs -n1 dirname | sed 's#^staging/src/#k8s.io/kubernetes/vendor/#; s#^pkg#k8s.io/kubernetes/pkg#; s#^cmd#k8s.io/kubernetes/cmd#' | sort -u | paste -sd,)
  "$FOLDER/openapi-gen" -O zz_generated.openapi -i "$packages" -p k8s.io/kubernetes/pkg/generated/openapi \
    -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r "$FOLDER/violations.txt"
  stamp generated
fi

V=k8s.io/kubernetes/vendor/k8s.io
FLAGS="-s -w -X $V/component-base/version.gitVersion=$VERSION -X $V/component-base/version.gitMajor=1 -X $V/component-base/version.gitMinor=20"
FLAGS="$FLAGS -X $V/client-go/pkg/version.gitVersion=$VERSION"
for program in $PROGRAMS; do
  done_already "$program" && continue
  say "building $program (minutes)"
  go build -trimpath -ldflags "$FLAGS" -o "$FOLDER/bin/$program" "./cmd/$program"
  case $program in kubectl) flags="version --client" ;; *) flags=--version ;; esac
  "$FOLDER/bin/$program" $flags >&2
  stamp "$program"
done
cp "$FOLDER/root/usr/bin/etcd" "$FOLDER/bin/etcd"

cd "$FOLDER"
chmod -R u+w gopath gocache root
rm -rf gopath gocache root source packages apt openapi-gen violations.txt stamps
touch "bin/$COMPLETE"
say "done: $FOLDER/bin"
