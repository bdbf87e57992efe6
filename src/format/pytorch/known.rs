//! The names that a pickle may use, and what becomes of a call of one.

/// What a call of a known name makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    Dict,
    Items,
    /// An object without a state yet.
    Object,
    TensorV2,
    TensorV3,
    /// Codes, whose scales and zero points follow the strides.
    QuantizedTensor,
    /// Its first argument as it is.
    First,
    /// Nothing, where the first argument is an object of the file; of a class it counts as a call of that.
    Method,
    Opaque,
}

/// What becomes of a call of `name`; `None` for a name that is not known.
pub(super) fn made_by(name: &str) -> Option<Made> {
    if let Some(builtin) = builtin(name) {
        return Some(match builtin {
            "dict" => Made::Dict,
            "set" | "frozenset" | "list" | "tuple" => Made::Items,
            // The method of an object, such as a forward function that was put in another's place, or the value of an enumeration.
            "getattr" => Made::Method,
            "bool" | "bytearray" | "bytes" | "complex" | "float" | "int" | "long" | "range" | "slice" | "str"
            | "xrange" => Made::Opaque,
            _ => return None,
        });
    }
    Some(match name {
        "collections.OrderedDict" | "collections.defaultdict" | "collections.Counter" => Made::Dict,
        "torch.Size" | "collections.deque" => Made::Items,
        "argparse.Namespace" | "types.SimpleNamespace" => Made::Object,
        "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => Made::TensorV2,
        "torch._utils._rebuild_tensor_v3" => Made::TensorV3,
        "torch._utils._rebuild_qtensor" => Made::QuantizedTensor,
        "torch._utils._rebuild_parameter"
        | "torch._utils._rebuild_parameter_with_state"
        | "torch.jit._pickle.restore_type_tag"
        | "torch.jit._pickle.build_intlist"
        | "torch.jit._pickle.build_doublelist"
        | "torch.jit._pickle.build_boollist"
        | "torch.jit._pickle.build_tensorlist"
        | "torch._tensor._rebuild_from_type_v2" => Made::First,
        "torch.device"
        | "torch.serialization._get_layout"
        | "numpy.dtype"
        | "numpy.ndarray"
        | "numpy.core.multiarray.scalar"
        | "numpy.core.multiarray._reconstruct"
        | "numpy._core.multiarray.scalar"
        | "numpy._core.multiarray._reconstruct"
        | "_codecs.encode"
        | "copyreg._reconstructor"
        | "copy_reg._reconstructor"
        | "functools.partial"
        | "pathlib.PosixPath"
        | "pathlib.WindowsPath"
        | "pathlib.Path"
        | "datetime.date"
        | "datetime.datetime"
        | "datetime.timedelta"
        | "datetime.timezone" => Made::Opaque,
        // States of generators.
        name if name.starts_with("numpy.random.") => Made::Opaque,
        _ => return None,
    })
}

/// What `name` is called among the names that need no import: streams of torch write the name that their module had in Python 2.
fn builtin(name: &str) -> Option<&str> {
    let modules = ["builtins.", "__builtin__."];
    modules.iter().find_map(|module| name.strip_prefix(module))
}

/// Whether `name` may stand in a stream as a name alone: element types, storages, classes whose objects only hold a state.
pub(super) fn is_known(name: &str) -> bool {
    let data_type = |name: &str| !name.contains('.');
    made_by(name).is_some()
        || name.strip_prefix("torch.").is_some_and(data_type)
        || name
            .strip_prefix("torch.storage.")
            .is_some_and(|name| name.ends_with("Storage"))
        || is_holder(name)
}

/// Classes whose objects are known to hold values by name and nothing else.
fn is_holder(name: &str) -> bool {
    // The classes of a TorchScript program are described in its archive; there is no code of Python behind them.
    name.starts_with("__torch__.")
        || builtin(name).is_some_and(|name| matches!(name, "object" | "type"))
        || name.starts_with("typing.")
        || name.starts_with("numpy.dtypes.")
        || name.starts_with("torch.nn.")
        || name.starts_with("torch.optim.")
        || matches!(
            name,
            "torch.nn.parameter.Parameter" | "torch.torch_version.TorchVersion" | "uuid.UUID"
        )
}

/// The modules of Python's own library, of 2 and 3, as lines of words; those that begin with an underscore besides.
const PYTHON: &str = "\
    abc aifc argparse array ast asynchat asyncio asyncore atexit audioop base64 bdb binascii bisect builtins bz2 \
    cProfile calendar cgi cgitb chunk cmath cmd code codecs codeop collections colorsys commands compileall \
    concurrent configparser contextlib contextvars copy copy_reg copyreg crypt csv ctypes curses dataclasses \
    datetime dbm decimal difflib dis distutils doctest email encodings ensurepip enum errno faulthandler fcntl \
    filecmp fileinput fnmatch fractions ftplib functools gc genericpath getopt getpass gettext glob graphlib grp \
    gzip hashlib heapq hmac html http idlelib imaplib imghdr imp importlib inspect io ipaddress itertools json \
    keyword lib2to3 linecache locale logging lzma mailbox mailcap marshal math mimetypes mmap modulefinder msilib \
    msvcrt multiprocessing netrc nis nntplib nt ntpath nturl2path numbers opcode operator optparse os ossaudiodev \
    pathlib pdb pickle pickletools pipes pkgutil platform plistlib popen2 poplib posix posixpath pprint profile \
    pstats pty pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re readline reprlib resource \
    rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site smtpd smtplib sndhdr socket \
    socketserver spwd sqlite3 sre_compile sre_constants sre_parse ssl stat statistics string stringprep struct \
    subprocess sunau symtable sys sysconfig syslog tabnanny tarfile telnetlib tempfile termios textwrap threading \
    time timeit tkinter token tokenize tomllib trace traceback tracemalloc tty turtle turtledemo types typing \
    unicodedata unittest urllib uu uuid venv warnings wave weakref webbrowser winreg winsound wsgiref xdrlib xml \
    xmlrpc zipapp zipfile zipimport zlib zoneinfo";

/// Whether `package` is Python's own, torch or numpy: what is there is known, so that a call of anything else in it is not
/// something that a trainer keeps beside the weights.
pub(super) fn is_library(package: &str) -> bool {
    let of_python = package.starts_with('_') && !matches!(package, "__main__" | "__mp_main__");
    of_python || matches!(package, "torch" | "numpy") || PYTHON.split(' ').any(|name| name == package)
}

/// The outermost package of a name.
pub(super) fn package(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}
