/* Makes python(1) of a program that has CPython in it and a main() of its own.

   The programs that freeze-core brings for cx_Freeze hold the whole interpreter and export it to its modules, but their
   main() only runs what was frozen with them. This library is loaded before the C library and stands in its place for the
   one call that begins a program: it hands on the interpreter's own main function instead. */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <stdlib.h>

typedef int uds_main(int argc, char **argv, char **environment);
typedef int uds_start(uds_main *program, int argc, char **argv, void (*begin)(void), void (*end)(void),
                      void (*unload)(void), void *stack);

/* The program's. */
int Py_BytesMain(int argc, char **argv);
uds_start __libc_start_main;

static int run_python(int argc, char **argv, char **environment)
{
    (void)environment;
    return Py_BytesMain(argc, argv);
}

int __libc_start_main(uds_main *program, int argc, char **argv, void (*begin)(void), void (*end)(void),
                      void (*unload)(void), void *stack)
{
    uds_start *start = (uds_start *)dlsym(RTLD_NEXT, "__libc_start_main");

    (void)program;
    if (start == NULL)
        abort();
    return start(run_python, argc, argv, begin, end, unload, stack);
}
