//! What a vault asks for of those who come without a token. Pure.

use strongroom_http::{HeaderMap, Uri, header};

use crate::settings::is_below;

/// The resource that tokens for the vault at `host` must be for, as its challenge says: in a domain above its own, or at
/// the host of `named`, so that no server can ask for a token that opens another one's doors.
pub(crate) fn resource(headers: &HeaderMap, host: &str, named: Option<&str>) -> Option<String> {
    let challenge = headers.get(header::WWW_AUTHENTICATE)?.to_str().ok()?;
    let parameters = challenge.trim().strip_prefix("Bearer ")?;
    let value = |wanted: &str| {
        parameters.split(',').find_map(|item| {
            let (name, value) = item.split_once('=')?;
            (name.trim() == wanted).then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    let scope = || value("scope").map(|scope| scope.trim_end_matches("/.default").to_owned());
    let resource = value("resource").or_else(scope)?;
    let address: Uri = resource.parse().ok()?;
    let named: Option<Uri> = named.and_then(|named| named.trim().parse().ok());
    let is_named =
        |place: &str| named.as_ref().and_then(Uri::host).is_some_and(|named| named.eq_ignore_ascii_case(place));
    let is_fitting = address.host().is_some_and(|place| is_below(host, place) || is_named(place));
    (is_fitting && address.scheme_str() == Some("https")).then(|| resource.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vault_may_ask_for_tokens_of_its_own_domain_alone() {
        let check_named = |challenge: &str, named: Option<&str>, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::WWW_AUTHENTICATE, challenge.parse().unwrap());
            let host = "world.vault.local.azurestack.external";
            assert_eq!(resource(&headers, host, named).as_deref(), expected, "{challenge}");
        };
        let check = |challenge: &str, expected: Option<&str>| check_named(challenge, None, expected);
        let asked = |resource: &str| format!("Bearer authorization=\"https://login.x/t\", resource=\"{resource}\"");
        let above = "https://vault.local.azurestack.external";
        check(&asked(above), Some(above));
        check(&asked(&format!("{above}/c0ffee")), Some("https://vault.local.azurestack.external/c0ffee"));
        check(&format!("Bearer authorization_uri=\"https://x\", scope=\"{above}/.default\""), Some(above));
        check(&asked("https://vault.azure.net"), None);
        check(&asked("https://management.azure.com"), None);
        check(&asked("https://world.vault.local.azurestack.external"), None);
        check(&asked("http://vault.local.azurestack.external"), None);
        check(&asked("vault.local.azurestack.external"), None);
        let named = Some("https://Vault.corp.example/");
        check_named(&asked("https://vault.corp.example/x"), named, Some("https://vault.corp.example/x"));
        check_named(&asked(above), named, Some(above));
        check_named(&asked("https://vault.azure.net"), named, None);
        check("Basic realm=\"x\"", None);
        check("Bearer", None);
        let mut headers = HeaderMap::new();
        headers.insert(header::SERVER, "x".parse().unwrap());
        assert_eq!(resource(&headers, "a.b", None), None);
    }
}
