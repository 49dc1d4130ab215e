//! Fields: entries of maps, fields of certificates, methods of times and versions.

use super::{Evaluated, Machine, Scope};
use crate::functions;
use crate::syntax::Operand;
use crate::values::{Datum, type_name};

impl<'t> Machine<'t> {
    /// Follows `fields` from `receiver`; the last may be a method, which gets the arguments.
    #[expect(clippy::too_many_arguments, reason = "the last field may be a call, which all of these make")]
    pub(super) fn chain(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Datum,
        receiver: Datum,
        operand: &'t Operand,
        fields: &'t [String],
        arguments: &'t [Operand],
        last: Option<Datum>,
    ) -> Evaluated {
        let Some((name, before)) = fields.split_last() else { return Ok(receiver) };
        let mut value = receiver;
        for field in before {
            value = self.field(scope, dot, value, operand, field, &[], None)?;
        }
        self.field(scope, dot, value, operand, name, arguments, last)
    }

    #[expect(clippy::too_many_arguments, reason = "a field may be a call, which all of these make")]
    fn field(
        &mut self,
        scope: &mut Scope<'t>,
        dot: &Datum,
        receiver: Datum,
        operand: &'t Operand,
        name: &str,
        arguments: &'t [Operand],
        last: Option<Datum>,
    ) -> Evaluated {
        if let Some(method) = functions::find_method(&receiver, name) {
            return self.call(scope, dot, operand, method, Some(receiver), arguments, last);
        }
        let has_arguments = !arguments.is_empty() || last.is_some();
        let words = match &receiver {
            Datum::Nil => format!("nil data; no entry for key \"{name}\""),
            Datum::Map(_) | Datum::Certificate(_) if has_arguments => {
                format!("{name} is not a method but has arguments")
            }
            Datum::Map(map) => match map.get(name.as_bytes()) {
                Some(value) => return Ok(value),
                None => format!("map has no entry for key \"{name}\""),
            },
            Datum::Certificate(certificate) if name == "Cert" => {
                return Ok(Datum::Text(certificate.certificate.clone()));
            }
            Datum::Certificate(certificate) if name == "Key" => return Ok(Datum::Text(certificate.key.clone())),
            other => format!("can't evaluate field {name} in type {}", type_name(other)),
        };
        self.fail(scope, operand.at, operand.name(), words)
    }
}
