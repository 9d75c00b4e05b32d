# What libdeconv needs, by distribution. Read by script/bootstrap; a package is named in one place only.
# shellcheck shell=sh disable=SC2034

# To build and run: compiler, build tools, OpenCL loader and headers, PoCL (OpenCL on any CPU), and
# the libraries for pictures, ONNX files, Fourier transforms, JSON, the command line and figures.
debian_build="gcc libc6-dev cmake ninja-build pkg-config
    ocl-icd-libopencl1 opencl-c-headers pocl-opencl-icd
    libstb-dev libprotobuf-c-dev protobuf-c-compiler libkissfft-dev libcjson-dev libpopt-dev
    libcairo2-dev fonts-dejavu-core"

# To test: the test framework, a C++ compiler for the header, Python's standard library for checks of the
# command, and CLBlast, which the library opens where it is installed.
debian_test="libcmocka-dev g++ python3 libclblast1"

# For continuous integration: the formatter, compilers of kernels for GPUs (gfx1100 wants version 15 or
# newer) and a checker of kernels.
debian_ci="clang-format clang-16 libclc-16 oclgrind python3-venv"

# To compare with other programs (bench/): oneDNN.
debian_bench="libdnnl-dev"

fedora="gcc cmake ninja-build pkgconf ocl-icd opencl-headers pocl stb-devel protobuf-c-devel
    protobuf-c-compiler kiss-fft-devel cjson-devel popt-devel cairo-devel dejavu-sans-fonts
    libcmocka-devel python3"
arch="gcc cmake ninja pkgconf ocl-icd opencl-headers pocl stb protobuf-c kissfft cjson popt cairo ttf-dejavu
    cmocka python"
homebrew="cmake ninja pkg-config opencl-headers pocl stb protobuf-c kissfft cjson popt cairo cmocka
    python"
