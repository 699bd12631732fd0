//! The schema in the repository.

use super::*;

/// The schema that the repository must have.
fn schema() -> Value {
    let duration = json!({"oneOf": [{"type": "string", "pattern": "^[0-9]+ ?(ms|s|m|min|h|d)?$"}, {"type": "number", "minimum": 0}]});
    let mut root = serde_json::Map::new();
    for member in MEMBERS {
        let mut schema = match member.kind {
            MemberKind::Text => json!({"type": "string"}),
            MemberKind::OneOf(all) => json!({"enum": all}),
            MemberKind::List => json!({"oneOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}),
            MemberKind::Table => json!({"type": "object", "additionalProperties": {"type": "string"}}),
            MemberKind::Flag => json!({"type": "boolean"}),
            MemberKind::Number => json!({"type": "integer", "minimum": 0}),
            MemberKind::Duration => duration.clone(),
            MemberKind::Json => json!({}),
        };
        schema["description"] = member.about.into();
        match member.path.split_once('.') {
            None => root.insert(member.path.to_owned(), schema),
            Some((table, name)) => {
                let empty = || json!({"type": "object", "additionalProperties": false, "properties": {}});
                root.entry(table).or_insert_with(empty)["properties"]
                    .as_object_mut()
                    .unwrap()
                    .insert(name.to_owned(), schema)
            }
        };
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of client-credentials",
        "type": "object",
        "additionalProperties": false,
        "required": ["auth"],
        "oneOf": [{"required": ["token_endpoint"]}, {"required": ["issuer"]}, {"required": ["protected_resource"]}],
        "properties": root,
    })
}

#[test]
fn the_schema_in_the_repository_has_the_members_of_the_struct() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json");
    let expected = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &expected).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), expected, "write it with BLESS=1");
}
