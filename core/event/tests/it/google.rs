use std::collections::BTreeMap;

use strongroom_event::{Happening, google};

fn parsed(attributes: &[(&str, &str)]) -> Result<Option<(String, Happening)>, String> {
    let attributes: BTreeMap<String, String> =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let change = google::parse(&attributes, Some("7")).map_err(|failure| failure.to_string())?;
    Ok(change.map(|change| (change.name().to_owned(), change.happening)))
}

#[test]
fn notifications_name_the_secret_and_what_happened() {
    let check = |event: &str, expected: Option<Happening>| {
        let found = parsed(&[("eventType", event), ("secretId", "projects/123/secrets/db"), ("versionId", "x")]);
        assert_eq!(found.unwrap(), expected.map(|happening| ("db".to_owned(), happening)), "{event}");
    };
    check("SECRET_VERSION_ADD", Some(Happening::Written));
    for event in ["SECRET_CREATE", "SECRET_UPDATE", "SECRET_VERSION_ENABLE", "SECRET_VERSION_DISABLE"] {
        check(event, Some(Happening::Updated));
    }
    check("SECRET_VERSION_DESTROY", Some(Happening::Updated));
    check("SECRET_DELETE", Some(Happening::Removed));
    for event in ["SECRET_ROTATE", "TOPIC_CONFIGURED", "SECRET_VERSION_DESTROY_SCHEDULED"] {
        check(event, None);
    }
}

#[test]
fn what_is_no_notification_is_refused() {
    assert!(parsed(&[]).unwrap_err().contains("eventType"));
    assert!(parsed(&[("eventType", "SECRET_UPDATE")]).unwrap_err().contains("secretId"));
    assert!(parsed(&[("eventType", "SECRET_UPDATE"), ("secretId", "")]).unwrap_err().contains("empty"));
}
