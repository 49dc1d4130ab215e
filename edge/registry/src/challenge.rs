//! What a registry asks for, in `WWW-Authenticate`.

use strongroom_http::{HeaderMap, header};

/// How a registry wants to learn who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A token of the service at `realm`.
    Bearer {
        /// The token service's address.
        realm: String,
        /// What the service calls the registry.
        service: Option<String>,
        /// What the token is to be for.
        scope: Option<String>,
    },
    /// User and password.
    Basic,
}

/// The best of what the headers offer: tokens before passwords. `None` where nothing is offered that is known.
pub(crate) fn wanted(headers: &HeaderMap) -> Option<Challenge> {
    let texts = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let offered: Vec<_> = texts.flat_map(offers).filter_map(Offer::known).collect();
    let is_bearer = |challenge: &&Challenge| matches!(challenge, Challenge::Bearer { .. });
    offered.iter().find(is_bearer).or_else(|| offered.first()).cloned()
}

#[derive(Debug)]
struct Offer {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Offer {
    fn known(self) -> Option<Challenge> {
        let find = |wanted: &str| {
            let found = self.parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
        };
        match self.scheme.to_ascii_lowercase().as_str() {
            "bearer" => {
                Some(Challenge::Bearer { realm: find("realm")?, service: find("service"), scope: find("scope") })
            }
            "basic" => Some(Challenge::Basic),
            _ => None,
        }
    }
}

/// Every offer of one header: a scheme, then `name=value` with commas in between, until the next scheme (RFC 9110,
/// 11.6.1).
fn offers(text: &str) -> Vec<Offer> {
    let mut offers: Vec<Offer> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=', '"']).unwrap_or(rest.len());
        if end == 0 {
            // The end, or what no grammar has.
            return offers;
        }
        let (word, after) = rest.split_at(end);
        match (after.trim_start().strip_prefix('='), offers.last_mut()) {
            (Some(value), Some(offer)) => {
                let (value, after) = taken_value(value.trim_start());
                offer.parameters.push((word.to_owned(), value));
                rest = after;
            }
            (Some(_), None) => return offers,
            (None, _) => {
                offers.push(Offer { scheme: word.to_owned(), parameters: Vec::new() });
                rest = after;
            }
        }
    }
}

/// A value with or without quotes, and what follows it.
fn taken_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let (mut value, mut is_escaped) = (String::new(), false);
    for (place, character) in quoted.char_indices() {
        match character {
            '"' if !is_escaped => return (value, &quoted[place + 1..]),
            '\\' if !is_escaped => is_escaped = true,
            _ => {
                value.push(character);
                is_escaped = false;
            }
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_of_registries_are_read() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            let (service, scope) = (service.map(str::to_owned), scope.map(str::to_owned));
            Some(Challenge::Bearer { realm: realm.to_owned(), service, scope })
        };
        let check = |texts: &[&str], expected: Option<Challenge>| {
            let mut headers = HeaderMap::new();
            for text in texts {
                headers.append(header::WWW_AUTHENTICATE, text.parse().unwrap());
            }
            assert_eq!(wanted(&headers), expected, "{texts:?}");
        };
        let scope = "repository:library/nginx:pull,push";
        let docker =
            format!(r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="{scope}""#);
        check(&[&docker], bearer("https://auth.docker.io/token", Some("registry.docker.io"), Some(scope)));
        check(&["bearer REALM = https://a/t , service=\"a \\\"b\\\"\""], bearer("https://a/t", Some("a \"b\""), None));
        check(&["Basic realm=\"x, Bearer realm=y\""], Some(Challenge::Basic));
        check(&["Basic realm=\"x\", Bearer realm=\"https://a\""], bearer("https://a", None, None));
        check(&["Basic realm=\"x\"", "Bearer realm=\"https://a\""], bearer("https://a", None, None));
        check(&["Negotiate, Basic"], Some(Challenge::Basic));
        check(&["Bearer service=\"x\""], None);
        check(&["Bearer realm=\"https://a"], bearer("https://a", None, None));
        check(&["", "Negotiate", "=x", "\"", "realm=\"x\""], None);
        check(&[], None);
    }
}
