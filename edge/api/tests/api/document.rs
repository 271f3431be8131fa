//! The document that describes the API.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::cloud::TestCloud;

fn document() -> Value {
    serde_json::to_value(kogge_api::document()).unwrap()
}

/// The public validator reads this very file (`tests/validate_openapi.py`).
#[test]
fn the_document_is_as_it_was_read_last() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openapi.json");
    let now = format!("{}\n", serde_json::to_string_pretty(&document()).unwrap());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert!(golden == now, "the API has changed: read the change, then run this test with UPDATE_GOLDEN=1");
}

#[tokio::test]
async fn the_cloud_serves_its_own_document() {
    let cloud = TestCloud::start().await;
    let served = cloud.call("GET /api/openapi.json", &[], "", None).await;
    assert!(served.head.contains("application/json"), "{}", served.head);
    assert_eq!(served.json(), document());
    cloud.end().await;
}

#[test]
fn every_operation_says_what_it_answers() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{}", document["openapi"]);
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(ids.insert(operation["operationId"].to_string()), "{name} has another's operationId");
            assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{name} has no summary");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("default"), "{name} does not say how it refuses");
            for (status, response) in responses {
                let text = response["description"].as_str().unwrap_or_default();
                assert!(!text.is_empty(), "{name} {status} has no description");
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 15, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}
