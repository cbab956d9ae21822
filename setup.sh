#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, configures build/ and builds it. See --help.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"

usage()
{
    cat <<'TEXT'
Usage: ./setup.sh [--dry-run] [--help]

Makes a build in build/: installs the distribution packages that are missing (Debian 12,
Ubuntu 24.04; needs root or sudo only for that), runs meson setup, and builds. Run again it does
only what is left to do.

  -n, --dry-run   say what would be done, do nothing
  -h, --help      this text

SETUP_MESON_ARGS   environment: arguments for meson setup when build/ is configured
                   (SETUP_MESON_ARGS="-Dwerror=true -Dcuda=disabled")
TEXT
}

say()
{
    printf 'setup: %s\n' "$*"
}

fail()
{
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

have()
{
    command -v "$1" >/dev/null 2>&1
}

have_meson()
{
    have meson && at_least "$(meson --version 2>/dev/null)" 1.0
}

# at_least VERSION WANTED
at_least()
{
    [ -n "$1" ] && [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

have_compiler()
{
    have cc || have gcc || have clang
}

have_cxx()
{
    have c++ || have g++ || have clang++
}

# A C header that the compiler finds.
have_header()
{
    local compiler
    compiler=$(command -v cc || command -v gcc || command -v clang) || return 1
    printf '#include <%s>\n' "$1" | "$compiler" -E -x c - >/dev/null 2>&1
}

have_module()
{
    local tool
    tool=$(command -v pkg-config || command -v pkgconf) || return 1
    "$tool" --exists "$1"
}

# A shared library that the loader finds.
have_library()
{
    PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | grep -q "[[:space:]]$1 "
}

have_pkg_config()
{
    have pkg-config || have pkgconf
}

# PoCL, the OpenCL device that every processor has. A GPU's own driver does not stand in for it.
have_pocl()
{
    local file
    for file in "${OCL_ICD_VENDORS:-/etc/OpenCL/vendors}"/*pocl*.icd; do
        [ -e "$file" ] && return 0
    done
    return 1
}

# PACKAGE CHECK [ARGUMENT]: the check also accepts what was installed in another way.
needs()
{
    cat <<'TEXT'
gcc have_compiler
libc6-dev have_header stdio.h
meson have_meson
ninja-build have ninja
pkg-config have_pkg_config
python3 have python3
libjansson-dev have_module jansson
libhwloc-dev have_module hwloc
g++ have_cxx
libbenchmark-dev have_module benchmark
libcmocka-dev have_module cmocka
opencl-headers have_header CL/cl.h
ocl-icd-libopencl1 have_library libOpenCL.so.1
pocl-opencl-icd have_pocl
gnuplot-nox have gnuplot
TEXT
}

find_missing()
{
    local package line check
    missing=()
    while read -r package line; do
        read -r -a check <<<"$line"
        "${check[@]}" || missing+=("$package")
    done < <(needs)
}

check_meson()
{
    local version
    have meson || return 0
    have_meson && return 0
    version=$(meson --version 2>/dev/null || echo unknown)
    say "meson $version is too old: 1.0 or later is needed (pip install 'meson>=1.0')"
}

install_missing()
{
    local root=()

    [ ${#missing[@]} -gt 0 ] || return 0
    check_meson
    if ! have apt-get; then
        fail "missing: ${missing[*]} (names of Debian's packages); install them, then run this again"
    fi
    if [ "$(id -u)" -ne 0 ]; then
        have sudo || fail "run as root: apt-get update && apt-get install -y" \
                          "--no-install-recommends ${missing[*]}"
        root=(sudo)
    fi
    say "installing ${missing[*]}"
    if $dry_run; then
        return 0
    fi
    root+=(env DEBIAN_FRONTEND=noninteractive)
    "${root[@]}" apt-get -qq update || say "apt-get update failed; going on with what is known"
    "${root[@]}" apt-get -qq install -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null ||
        fail "apt-get could not install: ${missing[*]}"
    installed=true
    hash -r
    find_missing
    if [ ${#missing[@]} -gt 0 ]; then
        check_meson
        fail "still missing after the installation: ${missing[*]}"
    fi
}

configure()
{
    local args=() what=()

    read -r -a args <<<"${SETUP_MESON_ARGS:-}"
    if [ ! -f build/meson-private/coredata.dat ]; then
        what=(meson setup build ${args[@]+"${args[@]}"})
    elif [ ! -f build/build.ninja ]; then
        say "build/ is half configured"
        what=(meson setup --wipe build ${args[@]+"${args[@]}"})
    elif $installed; then
        say "build/ was configured without the new packages"
        what=(meson setup --wipe build)
    else
        return 0
    fi
    say "${what[*]}"
    $dry_run || "${what[@]}"
}

build()
{
    say "building in build/"
    $dry_run || meson compile -C build
}

# CUDA kernels are compiled by NVRTC when they run. The driver does not bring it along.
check_nvrtc()
{
    local file
    have_library libcuda.so.1 || return 0
    for file in libnvrtc.so.13 libnvrtc.so.12 libnvrtc.so.11.2 libnvrtc.so; do
        have_library "$file" && return 0
    done
    for file in "${CUDA_PATH:-/usr/local/cuda}"/lib64/libnvrtc.so*; do
        [ -e "$file" ] && return 0
    done
    say "an NVIDIA driver is here, but NVRTC is not, and the cuda backend cannot do without: install"
    say "NVIDIA's package cuda-nvrtc (12.8 or later for every GPU; the rest of CUDA is not needed)"
}

dry_run=false
installed=false
missing=()
while [ $# -gt 0 ]; do
    case $1 in
        -n | --dry-run) dry_run=true ;;
        -h | --help)
            usage
            exit 0
            ;;
        *)
            printf 'setup: unknown option %s (see --help)\n' "$1" >&2
            exit 2
            ;;
    esac
    shift
done

find_missing
install_missing
configure
build
check_nvrtc
