// The same program as C++17: the header has to serve C++ as it is.
#include "abi.c"
