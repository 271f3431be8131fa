//! Who has which address: `10.BED.ROLE.NUMBER`, one /16 a bed.
//!
//! Beds do not see each other's packets; they have ranges of their own so that people see at once whose address it is.
//! The ranges lie outside of 10.64.0.0/10, out of which each machine gives addresses to its tasks.

use std::net::Ipv4Addr;

use super::Role;

/// Length of the common part, in bits.
pub const PREFIX: u8 = 16;

/// Of the bed's tag: always the same, from 10.16 to 10.47.
fn bed(tag: &str) -> u8 {
    let sum = tag.bytes().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    16 + sum % 32
}

/// Of the clients.
#[must_use]
pub fn client(tag: &str) -> Ipv4Addr {
    Ipv4Addr::new(10, bed(tag), 0, 2)
}

/// Of the `number`th node of a role, from 1. `None` when there are too many.
#[must_use]
pub fn node(tag: &str, role: Role, number: usize) -> Option<Ipv4Addr> {
    let role = match role {
        Role::Engine => 1,
        Role::Server => 2,
        Role::Agent => 3,
    };
    let number = u8::try_from(number).ok().filter(|number| (1..255).contains(number))?;
    Some(Ipv4Addr::new(10, bed(tag), role, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_lies_where_tasks_have_theirs() {
        for tag in ["", "a", "x7Gq2Z", "zzzzzz"] {
            let address = node(tag, Role::Agent, 254).unwrap();
            assert!((16..48).contains(&address.octets()[1]), "{address}");
            assert_ne!(address, client(tag));
        }
        assert_eq!(node("a", Role::Agent, 255), None);
        assert_eq!(node("a", Role::Agent, 0), None);
    }
}
