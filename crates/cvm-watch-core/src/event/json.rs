//! A lenient reader for one JSON object: a known field of the wrong type reads as absent, an unknown field is skipped,
//! and only text that is not a JSON object is an error.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;
use core::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::flat::read_flat;
use crate::json_string::string_length;

/// The deepest nesting of a payload.
pub(crate) const MAX_DEPTH: usize = 128;

/// A field's value, of the types that events use.
pub(crate) enum Value<'a> {
    Text(Cow<'a, str>),
    Number(f64),
    /// `null`, or a type that no known field uses.
    Other,
}

impl Value<'_> {
    pub(crate) fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.into_owned()),
            Self::Number(_) | Self::Other => None,
        }
    }

    pub(crate) fn number(self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Text(_) | Self::Other => None,
        }
    }
}

/// Receives the fields of an object.
pub(crate) trait Fields: Default {
    /// Returns whether the field is known; the value of an unknown one is not decoded.
    fn knows(name: &str) -> bool;
    /// Takes a field. Of several with the same name the last one counts.
    fn set(&mut self, name: &str, value: Value<'_>);
}

/// Why a payload is not one JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAnObject {
    TooDeep,
    NotJson,
    OtherType,
}

/// Reads a payload that should be one JSON object.
pub(crate) fn read_object<F: Fields>(json: &str) -> Result<F, NotAnObject> {
    read_flat(json).map_or_else(|| read_any_object(json), Ok)
}

/// Reads an object of any shape.
pub(super) fn read_any_object<F: Fields>(json: &str) -> Result<F, NotAnObject> {
    if deeper_than(MAX_DEPTH, json) {
        return Err(NotAnObject::TooDeep);
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let fast =
        deserializer.deserialize_map(Object::<F>(PhantomData)).and_then(|fields| deserializer.end().map(|()| fields));
    fast.or_else(|_| read_field_by_field(json))
}

/// The slow path for JSON with a value that Rust's types cannot hold: a number out of the range of `f64`, a string
/// with half a surrogate pair. Only that field reads as absent.
fn read_field_by_field<F: Fields>(json: &str) -> Result<F, NotAnObject> {
    let whole: &RawValue = serde_json::from_str(json).map_err(|_| NotAnObject::NotJson)?;
    if !whole.get().starts_with('{') {
        return Err(NotAnObject::OtherType);
    }
    serde_json::Deserializer::from_str(json)
        .deserialize_map(RawObject::<F>(PhantomData))
        .map_err(|_| NotAnObject::NotJson)
}

/// Returns whether brackets outside strings nest deeper than `limit`. Meaningful only for valid JSON.
fn deeper_than(limit: usize, json: &str) -> bool {
    // Each level takes two bytes, so a short payload cannot nest too deep.
    if json.len() <= 2 * limit {
        return false;
    }
    let mut depth = 0_usize;
    let mut rest = json.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        rest = match byte {
            b'"' => string_length(rest).and_then(|length| rest.get(length..)).unwrap_or_default(),
            _ => after,
        };
    }
    false
}

struct Object<F>(PhantomData<F>);

impl<'de, F: Fields> Visitor<'de> for Object<F> {
    type Value = F;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<F, A::Error> {
        let mut fields = F::default();
        while let Some(name) = map.next_key_seed(Name)? {
            match name {
                name if F::knows(name.as_str()) => {
                    let value = map.next_value_seed(AnyValue)?;
                    fields.set(name.as_str(), value);
                }
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(fields)
    }
}

struct RawObject<F>(PhantomData<F>);

impl<'de, F: Fields> Visitor<'de> for RawObject<F> {
    type Value = F;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<F, A::Error> {
        let mut fields = F::default();
        while let Some(name) = map.next_key::<&RawValue>()? {
            let value = map.next_value::<&RawValue>()?;
            if let Ok(name) = serde_json::from_str::<String>(name.get())
                && F::knows(&name)
            {
                let value = AnyValue.deserialize(&mut serde_json::Deserializer::from_str(value.get()));
                fields.set(&name, value.unwrap_or(Value::Other));
            }
        }
        Ok(fields)
    }
}

/// A field's name, borrowed from the payload unless it had escapes.
enum FieldName<'de> {
    Borrowed(&'de str),
    Owned(String),
}

impl FieldName<'_> {
    fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(name) => name,
            Self::Owned(name) => name,
        }
    }
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = FieldName<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<FieldName<'de>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = FieldName<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<FieldName<'de>, E> {
        Ok(FieldName::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<FieldName<'de>, E> {
        Ok(FieldName::Owned(name.into()))
    }
}

struct AnyValue;

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.into())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number))
    }

    #[expect(clippy::cast_precision_loss, reason = "a duration in seconds; 2^53 of them are enough")]
    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "a duration in seconds; 2^53 of them are enough")]
    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[derive(Debug, Default, PartialEq)]
    struct Status(Option<String>);

    impl Fields for Status {
        fn knows(name: &str) -> bool {
            name == "status"
        }

        fn set(&mut self, _: &str, value: Value<'_>) {
            self.0 = value.text();
        }
    }

    fn status(json: &str) -> Result<Option<String>, NotAnObject> {
        read_object::<Status>(json).map(|status| status.0)
    }

    fn running() -> Result<Option<String>, NotAnObject> {
        Ok(Some("running".into()))
    }

    #[test]
    fn fields_in_any_order_and_company_are_found() {
        for json in [
            r#"{"status":"running"}"#,
            r#" { "a" : [1,{"status":"x"}], "status" : "running" , "z":null } "#,
            r#"{"st\u0061tus":"runn\u0069ng"}"#,
            r#"{"status":"stopped","status":"running"}"#,
        ] {
            assert_eq!(status(json), running(), "{json}");
        }
    }

    #[test]
    fn a_wrong_type_reads_as_absent() {
        for value in ["null", "1", "1.5", "-1", "true", "[[1]]", r#"{"a":{}}"#] {
            assert_eq!(status(&format!(r#"{{"status":{value}}}"#)), Ok(None), "{value}");
        }
    }

    #[test]
    fn one_value_that_rust_cannot_hold_does_not_lose_the_others() {
        assert_eq!(status(r#"{"status":"running","elapsed":1e999}"#), running());
        assert_eq!(status(r#"{"name":"\ud800","status":"running"}"#), running());
        assert_eq!(status(r#"{"status":"\ud800"}"#), Ok(None));
        assert_eq!(status(r#"{"status":1e999}"#), Ok(None));
    }

    #[test]
    fn what_is_no_object_says_so() {
        for json in ["", "{", "{}}", "nul", "{\"a\":01}", "{'a':1}", "{\"status\":\"running\"} x", "\u{feff}{}"] {
            assert_eq!(status(json), Err(NotAnObject::NotJson), "{json}");
        }
        for json in ["[]", "null", "1", "\"{}\"", " true "] {
            assert_eq!(status(json), Err(NotAnObject::OtherType), "{json}");
        }
    }

    #[test]
    fn depth_is_judged_on_the_whole_payload_and_never_overflows_the_stack() {
        // The payload's own object is the first level.
        let nested = |levels: usize| {
            let inner = levels - 1;
            format!(r#"{{"status":"running","x":{}{}}}"#, "[".repeat(inner), "]".repeat(inner))
        };
        assert_eq!(status(&nested(128)), running());
        assert_eq!(status(&nested(129)), Err(NotAnObject::TooDeep));
        assert_eq!(status(&nested(1_000_000)), Err(NotAnObject::TooDeep));
        let brackets = format!(r#"{{"a":"\"{}","status":"running"}}"#, "[".repeat(1000));
        assert_eq!(status(&brackets), running());
        // What has been closed counts no more.
        for siblings in ["[],".repeat(500), r#"{"b":{}},"#.repeat(500)] {
            assert_eq!(status(&format!(r#"{{"a":[{siblings}0],"status":"running"}}"#)), running());
        }
    }
}
