/* Stands in for what the module gets from others than the system's C library: Python, and the compiler.

   Rule: a name is here only if it comes with Python, or with every compiler of that processor.  The one exception is
   at the end, and a build there must be given a library. */
#define STUB(name) \
    void stub_of_##name(void) __asm__(PREFIX #name); \
    void stub_of_##name(void) {}
#define DATA(name) \
    char data_of_##name[64] __asm__(PREFIX #name);

#if defined(__APPLE__)
#  define PREFIX "_"
#else
#  define PREFIX ""
#endif

DATA(_Py_NoneStruct)
DATA(PyExc_ImportError)
DATA(PyExc_OverflowError)
DATA(PyExc_SystemError)
DATA(PyExc_TypeError)
STUB(PyArg_UnpackTuple)
STUB(PyErr_Format)
STUB(PyErr_Occurred)
STUB(PyErr_SetString)
STUB(PyEval_RestoreThread)
STUB(PyEval_SaveThread)
STUB(PyImport_ImportModule)
STUB(PyLong_AsVoidPtr)
STUB(PyLong_FromLong)
STUB(PyLong_FromLongLong)
STUB(PyLong_FromUnsignedLong)
STUB(PyLong_FromUnsignedLongLong)
STUB(PyLong_FromVoidPtr)
STUB(PyObject_CallMethod)
STUB(PyObject_Free)
STUB(PyObject_Malloc)
STUB(_Py_Dealloc)
STUB(Py_DecRef)

/* The compiler's own helpers, in libgcc and compiler-rt. */
#if defined(__arm__)
STUB(__aeabi_idiv)
STUB(__aeabi_idivmod)
STUB(__aeabi_ldivmod)
STUB(__aeabi_memclr)
STUB(__aeabi_memclr4)
STUB(__aeabi_memclr8)
STUB(__aeabi_memcpy)
STUB(__aeabi_memcpy4)
STUB(__aeabi_memcpy8)
STUB(__aeabi_memmove)
STUB(__aeabi_memmove4)
STUB(__aeabi_memmove8)
STUB(__aeabi_memset)
STUB(__aeabi_memset4)
STUB(__aeabi_memset8)
STUB(__aeabi_uidiv)
STUB(__aeabi_uidivmod)
STUB(__aeabi_uldivmod)
#elif defined(__aarch64__)
#  define EACH_ORDER(name) \
    STUB(__aarch64_##name##_relax) \
    STUB(__aarch64_##name##_acq) \
    STUB(__aarch64_##name##_rel) \
    STUB(__aarch64_##name##_acq_rel)
#  define EACH_SIZE(name) EACH_ORDER(name##1) EACH_ORDER(name##2) EACH_ORDER(name##4) EACH_ORDER(name##8)
EACH_SIZE(cas)
EACH_SIZE(swp)
EACH_SIZE(ldadd)
EACH_SIZE(ldclr)
EACH_SIZE(ldeor)
EACH_SIZE(ldset)
#elif defined(__i386__) || (defined(__mips__) && !defined(__mips64))
STUB(__divdi3)
STUB(__moddi3)
STUB(__udivdi3)
STUB(__umoddi3)
#endif

/* Libatomic: this processor has no such operations. */
#if defined(__mips__) && !defined(__mips64)
STUB(__atomic_compare_exchange_8)
STUB(__atomic_exchange_8)
STUB(__atomic_load_8)
STUB(__atomic_store_8)
#endif
