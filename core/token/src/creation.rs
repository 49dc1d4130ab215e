//! Who may make which token: the rules of `auth/token/create`, `create-orphan` and `create/:role`.
//!
//! A token makes no more than it is: its policies, its addresses, its life and its uses are the limit. Whoever has `sudo`
//! on the path, or a role that says otherwise, goes beyond some of these, and nobody but root makes root. The texts are
//! those of OpenBao 2.

use std::collections::BTreeMap;

use crate::cidr::Cidr;
use crate::error::TokenError;
use crate::role::Role;
use crate::token::{NewToken, Token, Ttl, stricter};

/// The policy that may do everything.
const ROOT: &str = "root";

/// The policy that tokens have unless somebody says otherwise.
const DEFAULT: &str = "default";

/// Policies that the store gives by itself.
const INNER: [&str; 2] = ["response-wrapping", "control-group"];

/// Who asks for a token.
#[derive(Clone, Copy, Debug)]
pub struct Maker<'a> {
    /// The id of their token.
    pub id: &'a str,
    /// Their token.
    pub token: &'a Token,
    /// Whether they have `sudo` on the path of the request; root has.
    pub has_sudo: bool,
}

/// What is asked for, as it was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Policies; none for the maker's own.
    pub policies: Vec<String>,
    /// What is known of whoever gets it.
    pub metadata: BTreeMap<String, String>,
    /// A name for people; empty for none.
    pub display_name: String,
    /// The path of the request.
    pub path: String,
    /// Whether it came by a path that makes orphans, which takes rights of its own.
    pub is_orphans_path: bool,
    /// Whether it is to outlive its maker.
    pub no_parent: bool,
    /// Whether it is to be without the policy `default`.
    pub no_default_policy: bool,
    /// Whether it can be renewed.
    pub is_renewable: bool,
    /// How long it lives.
    pub ttl: Ttl,
    /// How often it may be used; 0 for any number.
    pub num_uses: u64,
}

/// How long tokens of a mount live, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Where nothing is asked for.
    pub usual: u64,
    /// Whatever is asked for.
    pub most: u64,
}

/// A token that may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// What is made.
    pub new: NewToken,
    /// What differs from what was asked for.
    pub warnings: Vec<String>,
}

/// What is made of what `maker` asks for, by a role with its name where there is one.
///
/// # Errors
/// [`TokenError::Invalid`] with OpenBao's text where that may not be made.
pub fn decide(
    maker: &Maker<'_>,
    asked: Asked,
    role: Option<(&str, &Role)>,
    times: Times,
) -> Result<Decided, TokenError> {
    if maker.token.num_uses > 0 {
        // It would go on as another where it is used up itself.
        return refused("restricted use token cannot generate child tokens");
    }
    let (name, role) = role.map_or((None, None), |(name, role)| (Some(name), Some(role)));
    let policies = policies(maker, &asked, role)?;
    let is_orphan = is_orphan(maker, &asked, role)?;
    let mut warnings = Vec::new();
    let wanted = wanted(maker, asked.ttl, role, &mut warnings)?;
    let ttl = given(wanted, policies.iter().any(|policy| policy == ROOT), times, &mut warnings);
    if ttl.first == 0 && maker.token.expires.is_some() {
        return refused("expiring root tokens cannot create non-expiring root tokens");
    }
    let new = NewToken {
        policies,
        metadata: asked.metadata,
        display_name: display_name(&asked.display_name),
        path: match role.map_or("", |role| &role.path_suffix) {
            "" => asked.path,
            suffix => format!("{}/{suffix}", asked.path),
        },
        parent: (!is_orphan).then(|| maker.id.to_owned()),
        ttl,
        num_uses: stricter(asked.num_uses, role.map_or(0, |role| role.token_num_uses)),
        is_renewable: asked.is_renewable && role.is_none_or(|role| role.renewable),
        bound_cidrs: if ttl.first == 0 { Vec::new() } else { bound_cidrs(maker, role, is_orphan) },
        is_wrapping: false,
        role: name.unwrap_or_default().to_owned(),
        // An orphan is nobody's.
        alias: maker.token.alias.clone().filter(|_| !is_orphan),
    };
    Ok(Decided { new, warnings })
}

fn refused<T>(words: impl Into<String>) -> Result<T, TokenError> {
    Err(TokenError::Invalid(words.into()))
}

/// The policies of the new token.
fn policies(maker: &Maker<'_>, asked: &Asked, role: Option<&Role>) -> Result<Vec<String>, TokenError> {
    let mut policies = match role {
        Some(role) if role.names_policies() => of_role(maker, asked, role)?,
        _ => of_maker(maker, asked)?,
    };
    if asked.no_default_policy {
        policies.retain(|policy| policy != DEFAULT);
    }
    if let Some(inner) = policies.iter().find(|policy| INNER.contains(&policy.as_str())) {
        return refused(format!("cannot assign policy \"{inner}\""));
    }
    // Sudo, and a role that whoever has it wrote, must not lead to root.
    if policies.iter().any(|policy| policy == ROOT) && !maker.token.policies.iter().any(|policy| policy == ROOT) {
        return refused("root tokens may not be created without parent token being root");
    }
    Ok(policies)
}

/// Those that a role allows, and none that it does not.
fn of_role(maker: &Maker<'_>, asked: &Asked, role: &Role) -> Result<Vec<String>, TokenError> {
    let adds_default = !asked.no_default_policy && !role.token_no_default_policy && !role.disallows(DEFAULT);
    let of_request = (!asked.policies.is_empty()).then(|| clean(&asked.policies, adds_default));
    let policies = match of_request {
        Some(policies) if role.allows_by_name() => {
            let is_allowed = |policy: &String| role.allows(policy) || (adds_default && policy == DEFAULT);
            if !policies.iter().all(is_allowed) {
                let allowed = clean(&role.allowed_policies, adds_default);
                return refused(format!(
                    "token policies ({}) must be subset of the role's allowed policies ({}) or glob policies ({})",
                    quoted(&policies),
                    quoted(&allowed),
                    quoted(&role.allowed_policies_glob),
                ));
            }
            policies
        }
        Some(policies) => policies,
        None if role.allows_by_name() => clean(&role.allowed_policies, adds_default),
        None => clean(&maker.token.policies, adds_default),
    };
    match policies.iter().find(|policy| role.disallows(policy)) {
        Some(policy) => refused(format!("token policy \"{policy}\" is disallowed by this role")),
        None => Ok(policies),
    }
}

/// The maker's own, or some of them; with sudo any.
fn of_maker(maker: &Maker<'_>, asked: &Asked) -> Result<Vec<String>, TokenError> {
    let own = clean(&maker.token.policies, false);
    if asked.policies.is_empty() {
        return Ok(own);
    }
    if maker.has_sudo {
        return Ok(clean(&asked.policies, !asked.no_default_policy));
    }
    let wanted = clean(&asked.policies, false);
    if !wanted.iter().all(|policy| own.contains(policy)) {
        return refused("child policies must be subset of parent");
    }
    let adds_default = !asked.no_default_policy && own.iter().any(|policy| policy == DEFAULT);
    Ok(clean(&wanted, adds_default))
}

/// In small letters, sorted, each once; root goes alone.
fn clean(policies: &[String], adds_default: bool) -> Vec<String> {
    let mut clean: Vec<String> = policies.iter().map(|policy| policy.trim().to_lowercase()).collect();
    if clean.iter().any(|policy| policy == ROOT) {
        return vec![ROOT.to_owned()];
    }
    clean.extend(adds_default.then(|| DEFAULT.to_owned()));
    clean.retain(|policy| !policy.is_empty());
    clean.sort();
    clean.dedup();
    clean
}

/// As Go prints a list of texts.
fn quoted(policies: &[String]) -> String {
    let quoted: Vec<String> = policies.iter().map(|policy| format!("{policy:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

fn is_orphan(maker: &Maker<'_>, asked: &Asked, role: Option<&Role>) -> Result<bool, TokenError> {
    match role {
        Some(role) => Ok(role.orphan),
        None if asked.no_parent && !maker.has_sudo => {
            refused("root or sudo privileges required to create orphan token")
        }
        None => Ok(asked.no_parent || asked.is_orphans_path),
    }
}

/// A role's addresses stand as they are; without one a child has its maker's.
fn bound_cidrs(maker: &Maker<'_>, role: Option<&Role>, is_orphan: bool) -> Vec<Cidr> {
    match role {
        Some(role) => role.token_bound_cidrs.clone(),
        None if is_orphan => Vec::new(),
        None => maker.token.bound_cidrs.clone(),
    }
}

/// The stricter of what is asked for and what the role says.
fn wanted(maker: &Maker<'_>, asked: Ttl, role: Option<&Role>, warnings: &mut Vec<String>) -> Result<Ttl, TokenError> {
    if asked.period > 0 && !maker.has_sudo {
        return refused("root or sudo privileges required to create periodic token");
    }
    let mut both = |what: &str, asked: u64, of_role: u64| {
        let least = stricter(asked, of_role);
        if asked > 0 && of_role > 0 {
            warnings.push(format!(
                "{what} specified both during creation call and in role; using the lesser value of {least} seconds"
            ));
        }
        least
    };
    Ok(Ttl {
        first: asked.first,
        longest: both("Explicit max TTL", asked.longest, role.map_or(0, |role| role.token_explicit_max_ttl)),
        period: both("Period", asked.period, role.map_or(0, |role| role.token_period)),
    })
}

/// What of that is given. Root's tokens last unless somebody says how long.
fn given(wanted: Ttl, is_root: bool, times: Times, warnings: &mut Vec<String>) -> Ttl {
    if is_root && wanted.first == 0 && wanted.period == 0 {
        return Ttl { first: wanted.longest, ..wanted };
    }
    let (ttl, is_less) = Ttl::within(wanted, times.usual, times.most);
    let most = spoken(stricter(times.most, wanted.longest));
    match (is_less, wanted.period) {
        (false, _) => {}
        (true, 0) => warnings.push(format!(
            "TTL of \"{}\" exceeded the effective max_ttl of \"{most}\"; TTL value is capped accordingly",
            spoken(wanted.first)
        )),
        (true, period) => warnings.push(format!(
            "period of \"{}\" exceeded the effective max_ttl of \"{most}\"; period value is capped accordingly",
            spoken(period)
        )),
    }
    ttl
}

/// Seconds as OpenBao writes them: `768h`, `1h30m`.
fn spoken(seconds: u64) -> String {
    let parts = [(seconds / 3600, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let spoken: String =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if spoken.is_empty() { "0s".to_owned() } else { spoken }
}

fn display_name(name: &str) -> String {
    if name.is_empty() {
        return "token".to_owned();
    }
    let name: String = name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let name = format!("token-{name}");
    name.strip_suffix('-').unwrap_or(&name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times { usual: 1000, most: 7200 };

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn token(policies: &[&str], first: u64) -> Token {
        let new = NewToken { policies: texts(policies), ttl: Ttl { first, ..Ttl::default() }, ..NewToken::default() };
        Token::new(new, "a".to_owned(), 0)
    }

    fn made(token: &Token, has_sudo: bool, asked: Asked, role: Option<&Role>) -> Result<Decided, String> {
        let role = role.map(|role| ("ci", role));
        let maker = Maker { id: "maker", token, has_sudo };
        decide(&maker, asked, role, TIMES).map_err(|error| error.to_string())
    }

    fn of(policies: &[&str]) -> Asked {
        Asked { policies: texts(policies), path: "auth/token/create".to_owned(), ..Asked::default() }
    }

    #[test]
    fn a_token_gets_policies_of_its_maker_and_with_sudo_any_but_root() {
        let check = |own: &[&str], has_sudo: bool, asked: Asked, expected: Result<&[&str], &str>| {
            let made =
                made(&token(own, 100), has_sudo, Asked { ttl: Ttl { first: 9, ..Ttl::default() }, ..asked }, None);
            assert_eq!(made.map(|made| made.new.policies), expected.map(texts).map_err(str::to_owned), "{own:?}");
        };
        let more = Err("child policies must be subset of parent");
        let root = Err("root tokens may not be created without parent token being root");
        let plain = |policies: &[&str]| Asked { no_default_policy: true, ..of(policies) };
        check(&["app", "default"], false, of(&[]), Ok(&["app", "default"]));
        check(&["app"], false, of(&[]), Ok(&["app"]));
        check(&["app", "default"], false, plain(&[]), Ok(&["app"]));
        check(&["app", "db", "default"], false, of(&[" APP "]), Ok(&["app", "default"]));
        check(&["app", "db", "default"], false, plain(&["app"]), Ok(&["app"]));
        check(&["app", "db"], false, of(&["app"]), Ok(&["app"]));
        check(&["app"], false, of(&["default"]), more);
        check(&["app", "default"], false, of(&["app", "db"]), more);
        check(&["app", "default"], false, of(&["root"]), more);
        check(&["app"], true, of(&["db", "db", ""]), Ok(&["db", "default"]));
        check(&["app"], true, plain(&["db"]), Ok(&["db"]));
        check(&["app"], true, of(&["Root"]), root);
        check(&["app"], true, of(&["db", "ROOT "]), root);
        check(&["root"], true, of(&["root", "app"]), Ok(&["root"]));
        check(&["root"], true, of(&[]), Ok(&["root"]));
        check(&["root"], true, of(&["app"]), Ok(&["app", "default"]));
        check(&["root"], true, of(&["response-wrapping"]), Err("cannot assign policy \"response-wrapping\""));
    }

    #[test]
    fn a_role_allows_policies_that_its_user_does_not_have_and_no_others() {
        let role = |allowed: &[&str], globs: &[&str], not: &[&str], not_globs: &[&str]| Role {
            allowed_policies: texts(allowed),
            allowed_policies_glob: texts(globs),
            disallowed_policies: texts(not),
            disallowed_policies_glob: texts(not_globs),
            ..Role::default()
        };
        let check = |role: &Role, asked: &[&str], expected: Result<&[&str], &str>| {
            let made = made(&token(&["own", "default"], 100), false, of(asked), Some(role));
            let got = made.map(|made| made.new.policies);
            assert_eq!(got, expected.map(texts).map_err(str::to_owned), "{role:?} {asked:?}");
        };
        let subset = |policies: &str, allowed: &str, globs: &str| {
            format!(
                "token policies ({policies}) must be subset of the role's allowed policies ({allowed}) or glob policies ({globs})"
            )
        };
        let allows = role(&["app", "db"], &[], &[], &[]);
        check(&allows, &[], Ok(&["app", "db", "default"]));
        check(&allows, &["app"], Ok(&["app", "default"]));
        let words = subset(r#"["default" "own"]"#, r#"["app" "db" "default"]"#, "[]");
        check(&allows, &["own"], Err(&words));
        let globs = role(&[], &["team-*"], &[], &[]);
        check(&globs, &["team-a"], Ok(&["default", "team-a"]));
        check(&globs, &[], Ok(&["default"]));
        let words = subset(r#"["default" "xteam-a"]"#, r#"["default"]"#, r#"["team-*"]"#);
        check(&globs, &["xteam-a"], Err(&words));
        let but = role(&[], &["team-*"], &["team-x"], &["*-admin"]);
        for (policy, is_refused) in [("team-a", false), ("team-x", true), ("team-a-admin", true)] {
            let words = format!("token policy \"{policy}\" is disallowed by this role");
            check(&but, &[policy], if is_refused { Err(&words) } else { Ok(&["default", "team-a"]) });
        }
        let not = role(&[], &[], &["own"], &[]);
        check(&not, &["any"], Ok(&["any", "default"]));
        check(&not, &[], Err("token policy \"own\" is disallowed by this role"));
        let no_default = role(&["app"], &[], &["default"], &[]);
        check(&no_default, &["app"], Ok(&["app"]));
        check(
            &role(&["root"], &[], &[], &[]),
            &["root"],
            Err("root tokens may not be created without parent token being root"),
        );
        // A role that says nothing of policies leaves them to its user.
        check(&role(&[], &[], &[], &[]), &["app"], Err("child policies must be subset of parent"));
        check(&role(&[], &[], &[], &[]), &[], Ok(&["default", "own"]));
        let plain = Role { token_no_default_policy: true, ..allows };
        check(&plain, &["app"], Ok(&["app"]));
    }

    #[test]
    fn nobody_makes_what_outlives_outruns_or_outreaches_them() {
        let app = token(&["app"], 100);
        let refused = |token: &Token, has_sudo: bool, asked: Asked| made(token, has_sudo, asked, None).unwrap_err();
        let counted = Token { num_uses: 3, uses_left: 3, ..app.clone() };
        assert_eq!(refused(&counted, true, of(&[])), "restricted use token cannot generate child tokens");
        let orphan = Asked { no_parent: true, ..of(&[]) };
        assert_eq!(refused(&app, false, orphan.clone()), "root or sudo privileges required to create orphan token");
        let periodic = Asked { ttl: Ttl { period: 60, ..Ttl::default() }, ..of(&[]) };
        assert_eq!(refused(&app, false, periodic.clone()), "root or sudo privileges required to create periodic token");
        let short_root = token(&["root"], 100);
        assert_eq!(refused(&short_root, true, of(&[])), "expiring root tokens cannot create non-expiring root tokens");
        let given = |token: &Token, has_sudo: bool, asked: Asked| made(token, has_sudo, asked, None).unwrap().new;
        assert_eq!(given(&app, true, orphan).parent, None);
        assert_eq!(given(&app, true, periodic).ttl.period, 60);
        assert_eq!(given(&app, false, of(&[])).parent.as_deref(), Some("maker"));
        let by_path = Asked { is_orphans_path: true, ..of(&[]) };
        assert_eq!(given(&app, false, by_path).parent, None);
        let until = Asked { ttl: Ttl { longest: 9, ..Ttl::default() }, ..of(&[]) };
        assert_eq!(given(&short_root, true, until).ttl.first, 9);
    }

    #[test]
    fn a_child_is_bound_to_the_addresses_of_its_maker_unless_a_role_binds_it() {
        let range = |text: &str| vec![text.parse::<Cidr>().unwrap()];
        let bound = Token { bound_cidrs: range("10.0.0.0/8"), ..token(&["app"], 100) };
        let cidrs = |asked: Asked, role: Option<&Role>| made(&bound, true, asked, role).unwrap().new.bound_cidrs;
        assert_eq!(cidrs(of(&[]), None), range("10.0.0.0/8"));
        assert_eq!(cidrs(Asked { no_parent: true, ..of(&[]) }, None), vec![]);
        let role = Role { token_bound_cidrs: range("192.0.2.1"), ..Role::default() };
        assert_eq!(cidrs(of(&[]), Some(&role)), range("192.0.2.1"));
    }

    #[test]
    fn a_role_bounds_times_and_uses_and_names_the_path() {
        let role = Role {
            orphan: true,
            path_suffix: "v2".to_owned(),
            token_explicit_max_ttl: 600,
            token_num_uses: 9,
            ..Role::default()
        };
        let asked = Asked {
            ttl: Ttl { first: 5000, longest: 900, period: 0 },
            num_uses: 20,
            is_renewable: true,
            path: "auth/token/create/ci".to_owned(),
            ..Asked::default()
        };
        let Decided { new, warnings } = made(&token(&["app"], 100), false, asked, Some(&role)).unwrap();
        assert_eq!((new.ttl, new.num_uses), (Ttl { first: 600, longest: 600, period: 0 }, 9));
        assert_eq!((new.path.as_str(), new.role.as_str()), ("auth/token/create/ci/v2", "ci"));
        assert!(new.parent.is_none() && !new.is_renewable);
        assert_eq!(
            warnings,
            [
                "Explicit max TTL specified both during creation call and in role; using the lesser value of 600 seconds",
                "TTL of \"1h23m20s\" exceeded the effective max_ttl of \"10m\"; TTL value is capped accordingly",
            ]
        );
    }

    #[test]
    fn what_is_cut_is_said_and_root_lasts() {
        let check = |policies: &[&str], asked: Ttl, expected: Ttl, warning: Option<&str>| {
            let made = made(&token(&["root"], 0), true, Asked { ttl: asked, ..of(policies) }, None).unwrap();
            assert_eq!((made.new.ttl, made.warnings.first().map(String::as_str)), (expected, warning), "{asked:?}");
        };
        let ttl = |first: u64, longest: u64, period: u64| Ttl { first, longest, period };
        check(&["app"], ttl(0, 0, 0), ttl(1000, 0, 0), None);
        check(&["app"], ttl(7200, 0, 0), ttl(7200, 0, 0), None);
        let cut = "TTL of \"2h1s\" exceeded the effective max_ttl of \"2h\"; TTL value is capped accordingly";
        check(&["app"], ttl(7201, 0, 0), ttl(7200, 0, 0), Some(cut));
        let cut = "period of \"3h\" exceeded the effective max_ttl of \"2h\"; period value is capped accordingly";
        check(&["app"], ttl(0, 0, 10_800), ttl(7200, 0, 7200), Some(cut));
        let cut = "period of \"1h\" exceeded the effective max_ttl of \"30m\"; period value is capped accordingly";
        check(&["app"], ttl(0, 1800, 3600), ttl(1800, 1800, 1800), Some(cut));
        check(&["root"], ttl(0, 0, 0), ttl(0, 0, 0), None);
        check(&["root"], ttl(60, 0, 0), ttl(60, 0, 0), None);
        check(&["root"], ttl(0, 90, 0), ttl(90, 90, 0), None);
        assert_eq!(spoken(0), "0s");
    }

    #[test]
    fn display_names_are_letters_digits_and_dashes() {
        for (name, expected) in
            [("", "token"), ("ci", "token-ci"), ("a b/c", "token-a-b-c"), ("x!", "token-x"), ("ö", "token-")]
        {
            assert_eq!(display_name(name), expected, "{name}");
        }
    }
}
