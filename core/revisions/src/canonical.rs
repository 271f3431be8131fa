//! One text for one content: JSON without white space, with the keys of every object in ascending order.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// The canonical JSON of `content`. The order of a struct's fields in our source leaves no trace in it.
///
/// # Panics
/// When `content` is not plain data with text keys and whole numbers; floats have no one text.
pub(crate) fn canonical_json(content: &impl Serialize) -> Vec<u8> {
    let value = serde_json::to_value(content).expect("nodes are plain data with text keys");
    let mut text = String::new();
    write_value(&value, &mut text);
    text.into_bytes()
}

fn write_value(value: &Value, text: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
        Value::Number(number) => {
            assert!(number.is_u64() || number.is_i64(), "{number} is a float and has no one text");
            text.push_str(&number.to_string());
        }
        Value::Array(items) => {
            text.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                write_value(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            // Sorted here: whether the JSON library keeps the order of insertion depends on who else uses it.
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            text.push('{');
            for (i, (key, field)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_value(field, text);
            }
            text.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Unsorted {
        zeta: Option<u64>,
        alpha: &'static str,
        middle: Vec<i32>,
    }

    #[test]
    fn keys_are_sorted_and_text_is_escaped() {
        let content = Unsorted { zeta: None, alpha: "a\"\n", middle: vec![-1, 2] };
        let text = String::from_utf8(canonical_json(&content)).unwrap();
        assert_eq!(text, r#"{"alpha":"a\"\n","middle":[-1,2],"zeta":null}"#);
    }
}
