# Puts OpenCL sources into the library as arrays of bytes: a string literal has a length limit and
# needs escaping, an array has neither.
#
#   embed_kernels(SOURCES FOLDER)   sets SOURCES to the C files to compile for FOLDER/*.cl and for
#                                   what these include, FOLDER/*.h. Editing one rebuilds its C file;
#                                   adding or removing one reconfigures.
#
# The file is also the script that writes one C file: cmake -DINPUT=.. -DOUTPUT=.. -DSYMBOL=.. -P it.

if(CMAKE_SCRIPT_MODE_FILE AND DEFINED INPUT)
    file(READ "${INPUT}" bytes HEX)
    string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    get_filename_component(name "${INPUT}" NAME)
    # The closing zero keeps an empty file valid C; the size does not count it.
    file(WRITE "${OUTPUT}"
        "/* cl/${name}, written by cmake/EmbedKernels.cmake. */\n"
        "#include <stddef.h>\n"
        "extern const unsigned char ${SYMBOL}[];\n"
        "extern const size_t ${SYMBOL}_size;\n"
        "const unsigned char ${SYMBOL}[] = {\n${bytes}0};\n"
        "const size_t ${SYMBOL}_size = sizeof ${SYMBOL} - 1;\n")
    return()
endif()

set(EMBED_KERNELS_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(embed_kernels out folder)
    file(GLOB kernels CONFIGURE_DEPENDS ${folder}/*.cl ${folder}/*.h)
    set(target_folder ${CMAKE_CURRENT_BINARY_DIR}/kernels)
    set(declarations "")
    set(entries "")
    set(sources "")
    foreach(kernel IN LISTS kernels)
        get_filename_component(name ${kernel} NAME)
        string(MAKE_C_IDENTIFIER "embedded_${name}" symbol)
        add_custom_command(
            OUTPUT ${target_folder}/${name}.c
            COMMAND ${CMAKE_COMMAND} -DINPUT=${kernel} -DOUTPUT=${target_folder}/${name}.c
                    -DSYMBOL=${symbol} -P ${EMBED_KERNELS_SCRIPT}
            DEPENDS ${kernel} ${EMBED_KERNELS_SCRIPT}
            COMMENT "Embedding cl/${name}"
            VERBATIM)
        list(APPEND sources ${target_folder}/${name}.c)
        string(APPEND declarations
            "extern const unsigned char ${symbol}[];\nextern const size_t ${symbol}_size;\n")
        string(APPEND entries "    {\"${name}\", ${symbol}, &${symbol}_size},\n")
    endforeach()
    file(CONFIGURE OUTPUT ${target_folder}/embedded_kernels.c @ONLY CONTENT
"/* The table of embedded kernel sources, written by cmake/EmbedKernels.cmake. */
#include \"opencl/embedded.h\"

@declarations@
const embedded_kernel embedded_kernels[] = {
@entries@    {NULL, NULL, NULL},
};
")
    set(${out} ${sources} ${target_folder}/embedded_kernels.c PARENT_SCOPE)
endfunction()
