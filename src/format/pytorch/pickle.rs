//! Pickle streams read without running anything: numbers, text, containers, and the tensors of PyTorch.
//!
//! A pickle is a program for a stack machine that may call any function by its name. This machine has a fixed list of names that
//! it knows what to make of, none of which it calls; a stream that wants another is refused with that name. The exceptions are
//! whole modules of PyTorch (`torch.save(model)`), and what trainers keep beside the weights of a checkpoint, whose classes are
//! anybody's: of their objects the state is kept, the class is a name. What would be called is refused there too, but for what
//! lies in the package of such an object, if that is not Python's own library, torch or numpy (the value of an enumeration): it is
//! not called either, left out and told. Values lie in one
//! list and refer to each other by position, so that no stream can nest deep enough to overflow the stack, and cost no more than
//! the bytes that describe them.

use super::known::{Made, is_known, is_library, made_by, package};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Position of a [`Value`] in its [`Pickle`].
pub(super) type Id = usize;

/// What a pickle holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Nothing that is of use here: None, bytes, objects of numpy, huge integers.
    Opaque,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// A tuple, list or set.
    Items(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function by its module and name.
    Global(String),
    /// What a persistent id stands for: the numbers of a tensor, kept elsewhere.
    Persistent(Id),
    /// A tensor's description.
    Tensor(Tensor),
    /// An object of a class, with the state that it was given.
    Object {
        class: String,
        state: Option<Id>,
    },
}

/// A tensor as PyTorch describes it: a view of a storage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    /// The persistent id of its storage.
    pub(super) storage: Id,
    /// In elements.
    pub(super) offset: Id,
    pub(super) sizes: Id,
    pub(super) strides: Id,
    /// The element type, where the storage does not tell it.
    pub(super) dtype: Option<Id>,
    /// How its codes become numbers, if they are codes: the scheme, and scale and zero point or tensors of them and their axis.
    pub(super) quantizer: Option<Id>,
}

/// The values of one stream.
#[derive(Debug)]
pub(super) struct Pickle {
    values: Vec<Value>,
    /// What the stream was for.
    pub(super) root: Id,
    /// The names that would have been called to make values, which are left out.
    pub(super) left_out: Vec<String>,
    /// Bytes of it.
    pub(super) length: usize,
}

/// Why a stream is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PickleError {
    #[error("the pickle ends within a value: the file is cut off")]
    Cut,
    #[error("the pickle takes more values than it made")]
    Empty,
    #[error("the pickle does not hold together")]
    Broken,
    #[error("it calls what is no function")]
    NoFunction,
    #[error("it has the instruction {0:#04x}, which is no part of a file of tensors")]
    Instruction(u8),
    /// A name that would have to be called, or whose objects are not known.
    #[error(
        "it wants '{0}', which is neither a tensor nor a container: nothing was run; save the network's state_dict() instead"
    )]
    Wanted(String),
    /// Where the instruction stands.
    #[error("{error} (byte {byte} of the pickle)")]
    At { error: Box<Self>, byte: usize },
}

impl Pickle {
    /// Reads the stream at the start of `bytes`; more may follow.
    ///
    /// # Errors
    /// What is wrong with it, or the name of what it wanted.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, PickleError> {
        Machine::new(bytes).run()
    }

    pub(super) fn value(&self, id: Id) -> &Value {
        self.values.get(id).unwrap_or(&Value::Opaque)
    }

    /// How many values there are: the ids are below.
    pub(super) fn count(&self) -> usize {
        self.values.len()
    }

    pub(super) fn int(&self, id: Id) -> Option<i64> {
        match self.value(id) {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.value(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.value(id) {
            Value::Items(items) => Some(items),
            _ => None,
        }
    }

    /// The parameters, buffers and modules in it of a module of PyTorch: dicts.
    pub(super) fn module(&self, id: Id) -> Option<[Id; 3]> {
        match self.value(id) {
            Value::Object { state: Some(state), .. } => module_state(&self.values, *state),
            _ => None,
        }
    }

    /// The buffers of a module that no state dict holds.
    pub(super) fn not_persistent(&self, id: Id) -> HashSet<&str> {
        let Value::Object { state: Some(state), .. } = self.value(id) else {
            return HashSet::new();
        };
        let set = entry(&self.values, *state, "_non_persistent_buffers_set", MAX_FIRST);
        let names = set.and_then(|set| self.items(set)).unwrap_or_default();
        names.iter().filter_map(|name| self.text(*name)).collect()
    }

    /// What the state of an object holds under `name`.
    pub(super) fn state_entry(&self, id: Id, name: &str) -> Option<Id> {
        match self.value(id) {
            Value::Object { state: Some(state), .. } => entry(&self.values, *state, name, usize::MAX),
            _ => None,
        }
    }

    /// The numbers of a tuple, not negative.
    pub(super) fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let size = |id: &Id| usize::try_from(self.int(*id)?).ok();
        self.items(id)?.iter().map(size).collect()
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// The first name of each package that is not known, and where it stands.
    unknown: BTreeMap<String, (String, usize)>,
    /// The first name of each package that would be called and is not known, and where.
    calls: BTreeMap<String, (String, usize)>,
    /// The packages of the classes of modules, and of those of all objects with a state.
    modules: HashSet<String>,
    objects: HashSet<String>,
}

impl<'a> Machine<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            unknown: BTreeMap::new(),
            calls: BTreeMap::new(),
            modules: HashSet::new(),
            objects: HashSet::new(),
        }
    }

    fn run(mut self) -> Result<Pickle, PickleError> {
        loop {
            let start = self.at;
            let [code] = self.take()?;
            if code == b'.' {
                let root = self.pop()?;
                if let Some((name, byte)) = self.not_allowed(root) {
                    return Err(PickleError::At {
                        error: Box::new(wanted(&name)),
                        byte,
                    });
                }
                return Ok(Pickle {
                    values: self.values,
                    root,
                    left_out: self.calls.into_values().map(|(name, _)| name).collect(),
                    length: self.at,
                });
            }
            self.step(code, start).map_err(|error| PickleError::At {
                error: Box::new(error),
                byte: start,
            })?;
        }
    }

    fn step(&mut self, code: u8, start: usize) -> Result<(), PickleError> {
        match code {
            // Protocol and frames tell nothing that is needed.
            0x80 => drop(self.take::<1>()?),
            0x95 => drop(self.take::<8>()?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.above_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'N' => self.push(Value::Opaque),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'I' | b'L' => {
                let line = self.line()?;
                let value = match line {
                    "00" => Value::Bool(false),
                    "01" => Value::Bool(true),
                    text => text.trim_end_matches('L').parse().map_or(Value::Opaque, Value::Int),
                };
                self.push(value);
            }
            b'F' => {
                let number = self.line()?.parse().map_or(Value::Opaque, Value::Float);
                self.push(number);
            }
            b'J' => {
                let number = i32::from_le_bytes(self.take()?);
                self.push(Value::Int(number.into()));
            }
            b'K' => {
                let [number] = self.take()?;
                self.push(Value::Int(number.into()));
            }
            b'M' => {
                let number = u16::from_le_bytes(self.take()?);
                self.push(Value::Int(number.into()));
            }
            0x8a => {
                let [length] = self.take()?;
                self.long(length.into())?;
            }
            0x8b => {
                let length = u32::from_le_bytes(self.take()?);
                self.long(length.into())?;
            }
            b'G' => {
                let number = f64::from_be_bytes(self.take()?);
                self.push(Value::Float(number));
            }
            b'S' | b'V' => {
                let text = self.line()?.trim_matches(['\'', '"']).to_owned();
                self.push(Value::Text(text));
            }
            b'U' | 0x8c => {
                let [length] = self.take()?;
                self.string(length.into())?;
            }
            b'T' | b'X' => {
                let length = u32::from_le_bytes(self.take()?);
                self.string(length.into())?;
            }
            0x8d => {
                let length = u64::from_le_bytes(self.take()?);
                self.string(length)?;
            }
            b'C' => {
                let [length] = self.take()?;
                self.skip(length.into())?;
            }
            b'B' => {
                let length = u32::from_le_bytes(self.take()?);
                self.skip(length.into())?;
            }
            0x8e | 0x96 => {
                let length = u64::from_le_bytes(self.take()?);
                self.skip(length)?;
            }
            b']' | b')' | 0x8f => self.push(Value::Items(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            b'l' | b't' | 0x91 => {
                let items = self.above_mark()?;
                self.push(Value::Items(items));
            }
            0x85..=0x87 => {
                let count = usize::from(code - 0x84);
                let from = self.stack.len().checked_sub(count).ok_or(PickleError::Empty)?;
                let items = self.stack.split_off(from);
                self.push(Value::Items(items));
            }
            b'd' => {
                let items = self.above_mark()?;
                self.push(Value::Dict(pairs(&items)));
            }
            b'a' => {
                let item = self.pop()?;
                self.add_items(&[item])?;
            }
            b'e' | 0x90 => {
                let items = self.above_mark()?;
                self.add_items(&items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.add_pairs(&[(key, value)])?;
            }
            b'u' => {
                let items = self.above_mark()?;
                self.add_pairs(&pairs(&items))?;
            }
            b'g' => {
                let key = self.line()?.parse().map_err(|_| PickleError::Broken)?;
                self.get(key)?;
            }
            b'h' => {
                let [key] = self.take()?;
                self.get(key.into())?;
            }
            b'j' => {
                let key = u32::from_le_bytes(self.take()?);
                self.get(key.into())?;
            }
            b'p' => {
                let key = self.line()?.parse().map_err(|_| PickleError::Broken)?;
                self.put(key)?;
            }
            b'q' => {
                let [key] = self.take()?;
                self.put(key.into())?;
            }
            b'r' => {
                let key = u32::from_le_bytes(self.take()?);
                self.put(key.into())?;
            }
            0x94 => self.put(self.memo.len() as u64)?,
            b'c' => {
                let (module, name) = (self.line()?.to_owned(), self.line()?.to_owned());
                self.global(&format!("{module}.{name}"), start);
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text = |id: Id| match self.values.get(id) {
                    Some(Value::Text(text)) => Ok(text.as_str()),
                    _ => Err(PickleError::Broken),
                };
                let whole = format!("{}.{}", text(module)?, text(name)?);
                self.global(&whole, start);
            }
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.call(function, arguments, start)?;
            }
            0x81 => {
                let (_, class) = (self.pop()?, self.pop()?);
                self.object(class)?;
            }
            0x92 => {
                let (_, _, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.object(class)?;
            }
            b'o' => {
                let items = self.above_mark()?;
                self.object(*items.first().ok_or(PickleError::Empty)?)?;
            }
            b'i' => {
                let (module, name) = (self.line()?.to_owned(), self.line()?.to_owned());
                self.above_mark()?;
                self.global(&format!("{module}.{name}"), start);
                let class = self.pop()?;
                self.object(class)?;
            }
            b'b' => {
                let state = self.pop()?;
                self.build(state)?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id));
            }
            b'P' => {
                let text = self.line()?.to_owned();
                self.values.push(Value::Text(text));
                let id = self.values.len() - 1;
                self.push(Value::Persistent(id));
            }
            other => {
                return Err(PickleError::Instruction(other));
            }
        }
        Ok(())
    }

    /// A name that is not known may be a class whose objects do no harm: whether it is shows at the end.
    fn global(&mut self, name: &str, byte: usize) {
        if !is_known(name) {
            let found = (name.to_owned(), byte);
            self.unknown.entry(package(name).to_owned()).or_insert(found);
        }
        self.push(Value::Global(name.to_owned()));
    }

    fn name_of(&self, id: Id) -> Result<&str, PickleError> {
        match self.values.get(id) {
            Some(Value::Global(name)) => Ok(name),
            // Before torch 1.6 the class of a module was kept beside its source: `("module", class, file, source)`.
            Some(Value::Persistent(id)) => match self.values.get(*id) {
                Some(Value::Items(items)) => match items.get(1).and_then(|class| self.values.get(*class)) {
                    Some(Value::Global(name)) if items.len() == 4 => Ok(name),
                    _ => Err(PickleError::NoFunction),
                },
                _ => Err(PickleError::NoFunction),
            },
            _ => Err(PickleError::NoFunction),
        }
    }

    fn call(&mut self, function: Id, arguments: Id, byte: usize) -> Result<(), PickleError> {
        let name = self.name_of(function)?;
        let Some(made) = made_by(name) else {
            if is_known(name) {
                return Err(wanted(name));
            }
            let call = (name.to_owned(), byte);
            self.calls.entry(package(name).to_owned()).or_insert(call);
            self.push(Value::Opaque);
            return Ok(());
        };
        let given = match self.values.get(arguments) {
            Some(Value::Items(items)) => items.clone(),
            _ => return Err(PickleError::Broken),
        };
        let argument = |place: usize| given.get(place).copied();
        let value = match made {
            Made::Opaque => Value::Opaque,
            Made::Object => Value::Object {
                class: name.to_owned(),
                state: None,
            },
            Made::Items => match argument(0).and_then(|id| self.values.get(id)) {
                Some(items @ Value::Items(_)) => items.clone(),
                _ => Value::Items(Vec::new()),
            },
            Made::Dict => Value::Dict(self.pairs_of(argument(0))),
            Made::First => {
                self.stack.push(argument(0).ok_or(PickleError::Empty)?);
                return Ok(());
            }
            Made::Method => match argument(0).and_then(|id| self.values.get(id)) {
                Some(Value::Object { .. }) => Value::Opaque,
                Some(Value::Global(class)) => {
                    let call = (class.clone(), byte);
                    self.calls.entry(package(&call.0).to_owned()).or_insert(call);
                    Value::Opaque
                }
                _ => return Err(wanted(name)),
            },
            Made::TensorV2 | Made::TensorV3 | Made::QuantizedTensor => {
                let at = |place: usize| argument(place).ok_or(PickleError::Empty);
                let part = |kind: Made, place: usize| (made == kind).then(|| at(place)).transpose();
                Value::Tensor(Tensor {
                    storage: at(0)?,
                    offset: at(1)?,
                    sizes: at(2)?,
                    strides: at(3)?,
                    dtype: part(Made::TensorV3, 6)?,
                    quantizer: part(Made::QuantizedTensor, 4)?,
                })
            }
        };
        self.push(value);
        Ok(())
    }

    /// The pairs that a dict is made of: those of another, or a list of pairs.
    fn pairs_of(&self, given: Option<Id>) -> Vec<(Id, Id)> {
        match given.and_then(|id| self.values.get(id)) {
            Some(Value::Dict(pairs)) => pairs.clone(),
            Some(Value::Items(items)) => {
                let pair = |id: &Id| match self.values.get(*id) {
                    Some(Value::Items(pair)) => Some((*pair.first()?, *pair.get(1)?)),
                    _ => None,
                };
                items.iter().filter_map(pair).collect()
            }
            _ => Vec::new(),
        }
    }

    fn object(&mut self, class: Id) -> Result<(), PickleError> {
        let name = self.name_of(class)?;
        let value = match made_by(name) {
            Some(Made::Dict) => Value::Dict(Vec::new()),
            Some(Made::Items) => Value::Items(Vec::new()),
            None | Some(Made::Object) => Value::Object {
                class: name.to_owned(),
                state: None,
            },
            Some(_) => Value::Opaque,
        };
        self.push(value);
        Ok(())
    }

    /// Gives the object on top of the stack its state. An ordered dict has one, too, which holds nothing of use.
    fn build(&mut self, given: Id) -> Result<(), PickleError> {
        let top = self.top()?;
        if let Some(Value::Object { state, .. }) = self.values.get_mut(top) {
            *state = Some(given);
        }
        if let Some(Value::Object { class, .. }) = self.values.get(top) {
            let package = package(class).to_owned();
            if module_state(&self.values, given).is_some() {
                self.modules.insert(package.clone());
            }
            self.objects.insert(package);
        }
        Ok(())
    }

    /// The name for which the stream is refused, and where it stands: the first of them.
    fn not_allowed(&self, root: Id) -> Option<(String, usize)> {
        let whole = !self.modules.is_empty();
        let checkpoint = matches!(self.values.get(root), Some(Value::Dict(_)))
            && self.values.iter().any(|value| matches!(value, Value::Tensor(_)));
        let call = |package: &String| !is_library(package) && (whole || checkpoint) && self.objects.contains(package);
        let name = |package: &String| whole || (checkpoint && !is_library(package));
        let calls = self.calls.iter().filter(|(package, _)| !call(package));
        let names = self.unknown.iter().filter(|(package, _)| !name(package));
        let found = calls.chain(names).map(|(_, found)| found);
        found.min_by_key(|(_, byte)| *byte).cloned()
    }

    fn push(&mut self, value: Value) {
        self.values.push(value);
        self.stack.push(self.values.len() - 1);
    }

    fn top(&self) -> Result<Id, PickleError> {
        self.stack.last().copied().ok_or(PickleError::Empty)
    }

    fn pop(&mut self) -> Result<Id, PickleError> {
        let least = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= least {
            return Err(PickleError::Empty);
        }
        self.stack.pop().ok_or(PickleError::Empty)
    }

    /// What was put on the stack since the last mark.
    fn above_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        let mark = self.marks.pop().ok_or(PickleError::Empty)?;
        if mark > self.stack.len() {
            return Err(PickleError::Broken);
        }
        Ok(self.stack.split_off(mark))
    }

    fn add_items(&mut self, items: &[Id]) -> Result<(), PickleError> {
        let top = self.top()?;
        if let Some(Value::Items(all)) = self.values.get_mut(top) {
            all.extend(items);
        }
        Ok(())
    }

    fn add_pairs(&mut self, pairs: &[(Id, Id)]) -> Result<(), PickleError> {
        let top = self.top()?;
        if let Some(Value::Dict(all)) = self.values.get_mut(top) {
            all.extend(pairs);
        }
        Ok(())
    }

    fn get(&mut self, key: u64) -> Result<(), PickleError> {
        let id = *self.memo.get(&key).ok_or(PickleError::Broken)?;
        self.stack.push(id);
        Ok(())
    }

    fn put(&mut self, key: u64) -> Result<(), PickleError> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn take<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], PickleError> {
        let bytes = self.slice(COUNT as u64)?;
        bytes.try_into().map_err(|_| PickleError::Cut)
    }

    fn slice(&mut self, length: u64) -> Result<&'a [u8], PickleError> {
        let length = usize::try_from(length).map_err(|_| PickleError::Cut)?;
        let end = self.at.checked_add(length).ok_or(PickleError::Cut)?;
        let bytes = self.bytes.get(self.at..end).ok_or(PickleError::Cut)?;
        self.at = end;
        Ok(bytes)
    }

    fn skip(&mut self, length: u64) -> Result<(), PickleError> {
        self.slice(length)?;
        self.push(Value::Opaque);
        Ok(())
    }

    fn string(&mut self, length: u64) -> Result<(), PickleError> {
        let text = String::from_utf8_lossy(self.slice(length)?).into_owned();
        self.push(Value::Text(text));
        Ok(())
    }

    /// A little-endian integer in two's complement; one of more than 64 bits is of no use.
    fn long(&mut self, length: u64) -> Result<(), PickleError> {
        let bytes = self.slice(length)?;
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        let value = if bytes.len() > wide.len() {
            Value::Opaque
        } else {
            wide[..bytes.len()].copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(wide))
        };
        self.push(value);
        Ok(())
    }

    /// The text up to the end of the line.
    fn line(&mut self) -> Result<&'a str, PickleError> {
        let rest = self.bytes.get(self.at..).ok_or(PickleError::Cut)?;
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(PickleError::Cut)?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map_err(|_| PickleError::Broken)
    }
}

/// Entries of a state in which the dicts of a module are looked for: a stream may give the same large state many times.
const MAX_FIRST: usize = 64;

/// The dicts of parameters, buffers and modules in it of a `torch.nn.Module`, of which `state` is the state.
fn module_state(values: &[Value], state: Id) -> Option<[Id; 3]> {
    let dict = |wanted: &str| {
        let id = entry(values, state, wanted, MAX_FIRST)?;
        matches!(values.get(id), Some(Value::Dict(_))).then_some(id)
    };
    Some([dict("_parameters")?, dict("_buffers")?, dict("_modules")?])
}

/// What a module's state holds under `wanted`, among its first entries. A module's constructor sets its own before anything else.
fn entry(values: &[Value], state: Id, wanted: &str, first: usize) -> Option<Id> {
    let Some(Value::Dict(pairs)) = values.get(state) else {
        return None;
    };
    let is_it = |key: Id| matches!(values.get(key), Some(Value::Text(text)) if text == wanted);
    let found = pairs.iter().take(first).find(|(key, _)| is_it(*key));
    found.map(|(_, value)| *value)
}

fn wanted(name: &str) -> PickleError {
    PickleError::Wanted(crate::onnx::one_line(name))
}

fn pairs(items: &[Id]) -> Vec<(Id, Id)> {
    items
        .as_chunks::<2>()
        .0
        .iter()
        .map(|[key, value]| (*key, *value))
        .collect()
}

#[cfg(test)]
mod tests;
