use super::*;

fn fault(bytes: &[u8]) -> String {
    Pickle::read(bytes).unwrap_err().to_string()
}

/// `pickle.dumps({'a': 1, 'b': [2.5, True, None], 'c': (-3,)}, protocol=2)` of Python 3.11.
#[test]
fn containers_and_numbers_are_read() {
    let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01X\x01\x00\x00\x00bq\x02]q\x03(G@\x04\x00\x00\x00\x00\x00\x00\x88NeX\x01\x00\x00\x00cq\x04J\xfd\xff\xff\xff\x85q\x05u.";
    let pickle = Pickle::read(bytes).unwrap();
    assert_eq!(pickle.length, bytes.len());
    let Value::Dict(pairs) = pickle.value(pickle.root) else {
        panic!()
    };
    let keys: Vec<_> = pairs.iter().map(|(key, _)| pickle.text(*key).unwrap()).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    assert_eq!(pickle.int(pairs[0].1), Some(1));
    let items: Vec<_> = pickle
        .items(pairs[1].1)
        .unwrap()
        .iter()
        .map(|id| pickle.value(*id).clone())
        .collect();
    assert_eq!(items, [Value::Float(2.5), Value::Bool(true), Value::Opaque]);
    assert_eq!(pickle.int(pickle.items(pairs[2].1).unwrap()[0]), Some(-3));
}

#[test]
fn what_would_run_code_is_refused_by_its_name() {
    assert!(fault(b"cos\nsystem\n(S'echo'\ntR.").contains("'os.system'"));
    assert!(fault(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x01x\x85R.").contains("'builtins.eval'"));
    assert!(fault(b"(S'ls'\nios\nsystem\n.").contains("'os.system'"));
    // A name that may stand alone may still not be called.
    assert!(fault(b"ctorch\nload\n(S'x'\ntR.").contains("'torch.load'"));
    assert!(fault(b"cos\nsystem\n)\x81.").contains("'os.system'"));
}

/// A state with the three dicts of a module, whose parameters hold `weight`.
const MODULE_STATE: &[u8] = b"}(X\x0b\0\0\0_parameters}X\x01\0\0\0wNsX\x08\0\0\0_buffers}X\x08\0\0\0_modules}u";

#[test]
fn a_whole_module_is_a_state_whatever_its_class_and_runs_nothing() {
    let module = [&b"\x80\x02cmine.models\nNet\n)\x81"[..], MODULE_STATE, b"b."].concat();
    let pickle = Pickle::read(&module).unwrap();
    let [parameters, buffers, _] = pickle.module(pickle.root).unwrap();
    assert_eq!(pickle.value(buffers), &Value::Dict(Vec::new()));
    let Value::Dict(pairs) = pickle.value(parameters) else {
        panic!("{pickle:?}");
    };
    assert_eq!(pickle.text(pairs[0].0), Some("w"));
    // Before torch 1.6 the class stood in a persistent id, beside its source.
    let old = [
        &b"\x80\x02(X\x06\0\0\0modulecmine\nNet\nX\x01\0\0\0fX\x01\0\0\0stQ)\x81"[..],
        MODULE_STATE,
        b"b.",
    ];
    assert!(Pickle::read(&old.concat()).is_ok());
    // A call stays a call, also beside a module; a class that is no module's is refused.
    let with_call = [
        &b"]cmine.models\nNet\n)\x81"[..],
        MODULE_STATE,
        b"bacos\nsystem\n(S'x'\ntRa.",
    ];
    assert!(fault(&with_call.concat()).contains("'os.system'"));
    // The value of an enumeration in the package of the module, and a function of torch.
    let of_package = |call: &[u8]| [&b"]cmine.models\nNet\n)\x81"[..], MODULE_STATE, b"ba", call].concat();
    assert!(Pickle::read(&of_package(b"cmine.layout\nFormat\n(S'NCHW'\ntRa.")).is_ok());
    assert!(fault(&of_package(b"ctorch.hub\nload\n(S'x'\ntRa.")).contains("'torch.hub.load'"));
    assert!(fault(b"cmine\nNet\n)\x81}b.").contains("'mine.Net'"));
}

/// A checkpoint with a tensor under `w`, and `beside` under `x`.
fn beside_a_tensor(beside: &[u8]) -> Vec<u8> {
    let tensor = b"\x80\x02}(Vw\nctorch._utils\n_rebuild_tensor_v2\n(NI0\n))I00\nNtRVx\n";
    [&tensor[..], beside, b"u."].concat()
}

#[test]
fn what_a_trainer_keeps_beside_the_weights_is_left_out_and_told() {
    let read = |beside: &[u8]| Pickle::read(&beside_a_tensor(beside));
    // Settings of a class of somebody's, a class alone, an enumeration's value in the settings' package.
    let settings = b"cutils\nHParams\n)\x81}Va\nI1\nsb";
    assert_eq!(read(settings).unwrap().left_out, Vec::<String>::new());
    assert!(read(b"cmine\nAdam\n").is_ok() && read(b"c__main__\nConfig\n)\x81}b").is_ok());
    assert_eq!(read(b"c__builtin__\nlist\n)R").unwrap().left_out, Vec::<String>::new());
    let with_value = b"cmine.task\nSettings\n)\x81}Va\ncmine.task\nProblem\n(I1\ntRsb";
    assert_eq!(read(with_value).unwrap().left_out, ["mine.task.Problem"]);
    // A method of the object; of a class it may be any function.
    assert!(read(b"cbuiltins\ngetattr\n(cutils\nHParams\n)\x81}bVrun\ntR").is_ok());
    let fault = |beside: &[u8]| read(beside).unwrap_err().to_string();
    assert!(fault(b"cbuiltins\ngetattr\n(cos\nenviron\nVget\ntR").contains("'os.environ'"));
    // A call of a package that holds nothing here, of Python's library, of torch; a name of Python's.
    assert!(read(b"ctorch.nn.functional\nrelu\n").is_ok());
    assert!(fault(b"ctorch.nn.utils\nprune\n(Vx\ntR").contains("'torch.nn.utils.prune'"));
    assert!(fault(b"cevil\nrun\n(Vx\ntR").contains("'evil.run'"));
    for name in [
        "os\nsystem",
        "subprocess\nPopen",
        "posix\nsystem",
        "_posixsubprocess\nfork_exec",
        "torch.hub\nload",
    ] {
        let object_and_call = format!("(c{name}\n)\u{81}}}bc{name}\n(Vx\ntRt");
        let bytes: Vec<u8> = object_and_call.chars().map(|letter| letter as u8).collect();
        let wanted = name.replace('\n', ".");
        assert!(fault(&bytes).contains(&wanted), "{name}: {}", fault(&bytes));
    }
    assert!(fault(b"cos\nsystem\n").contains("'os.system'"));
}

#[test]
fn streams_that_are_cut_off_or_senseless_are_refused() {
    for bytes in [
        &b""[..],
        b"K",
        b".",
        b"X\xff\xff\xff\xffa",
        b"h\x07.",
        b"e.",
        b"a.",
        b"}u.",
        b"R.",
        b"\x86.",
    ] {
        assert!(Pickle::read(bytes).is_err(), "{bytes:?}");
    }
    assert!(fault(b"\xff.").contains("0xff"));
}

#[test]
fn a_million_lists_within_each_other_do_no_harm() {
    let mut bytes = vec![b']'; 1_000_000];
    bytes.extend(std::iter::repeat_n(b'a', 999_999));
    bytes.push(b'.');
    assert!(Pickle::read(&bytes).is_ok());
}
