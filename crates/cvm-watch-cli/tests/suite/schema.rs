//! The JSON Schema of the outputs ndjson and json, which every line of every run in these tests is checked
//! against.

use std::fs;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use crate::program::cvm_watch;

/// The schema, in which no field is allowed that it does not name.
struct Strict {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Strict {
    fn new() -> Self {
        let mut schema: Value = serde_json::from_str(include_str!("../../src/ndjson.schema.json")).unwrap();
        schema["unevaluatedProperties"] = json!(false);
        for part in ["state", "error"] {
            schema["$defs"][part]["additionalProperties"] = json!(false);
        }
        let mut compiler = Compiler::new();
        compiler.add_resource("http://localhost/schema.json", schema).unwrap();
        let mut schemas = Schemas::new();
        let index = compiler.compile("http://localhost/schema.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    fn problem(&self, line: &str) -> Option<String> {
        let value: Value = match serde_json::from_str(line) {
            Ok(value) => value,
            Err(error) => return Some(error.to_string()),
        };
        self.schemas.validate(&value, self.index).err().map(|error| format!("{error:#}"))
    }
}

/// Fails if a whole line, or an object of an array, does not follow the schema. A last line without an end may be
/// cut off.
pub(crate) fn check(stdout: &str) {
    let strict = Strict::new();
    if stdout.starts_with('[') {
        for object in serde_json::from_str::<Vec<Value>>(stdout).unwrap() {
            assert_eq!(strict.problem(&object.to_string()), None, "{object}");
        }
        return;
    }
    for line in stdout.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        if let Some(problem) = strict.problem(line) {
            panic!("{line} does not follow the schema: {problem}");
        }
    }
}

#[test]
fn the_program_prints_the_schema_that_is_documented() {
    let finished = cvm_watch("schema").run();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    if let Ok(documented) = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ndjson.schema.json")) {
        assert_eq!(finished.stdout, documented);
    }
}

#[test]
fn a_line_that_is_not_as_the_schema_has_it_is_found() {
    let strict = Strict::new();
    let line = |body: Value| {
        let mut line = json!({ "version": 1, "cvm": "a", "attempt": 1, "elapsed_ms": 0 });
        line.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        line.to_string()
    };
    let error = || json!({ "kind": "tls", "message": "m" });
    for good in [
        json!({ "type": "connecting" }),
        json!({ "type": "result", "outcome": "cancelled", "error": error() }),
        json!({ "type": "result", "outcome": "resolved", "state": { "status": "running" } }),
        json!({ "type": "retrying", "delay_ms": 1, "cause": "c", "status": 503 }),
        json!({ "type": "check", "state": { "status": "running" }, "at_target": true }),
        json!({ "type": "check", "error": error() }),
    ] {
        assert_eq!(strict.problem(&line(good)), None);
    }
    for bad in [
        json!({ "type": "connecting", "more": 1 }),
        json!({ "type": "connecting", "version": 2 }),
        json!({ "type": "nothing" }),
        json!({ "type": "result", "outcome": "resolved" }),
        json!({ "type": "result", "outcome": "reached", "state": { "status": "running" } }),
        json!({ "type": "result", "outcome": "failed", "state": { "status": "running" } }),
        json!({ "type": "result", "outcome": "failed", "error": { "kind": "tls" } }),
        json!({ "type": "retrying", "delay_ms": -1, "cause": "c" }),
        json!({ "type": "check" }),
        json!({ "type": "check", "state": { "status": "running" }, "error": error() }),
    ] {
        assert!(strict.problem(&line(bad.clone())).is_some(), "{bad}");
    }
}
