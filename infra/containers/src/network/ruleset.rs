//! The cloud's nftables table, as text for `nft -f`. Nothing here runs anything.
//!
//! ```text
//!  prerouting raw   guard    nothing forged, link-local, loopback or IPv6 from tasks
//!  prerouting nat   arriving published ports to their tasks
//!  output nat       leaving  the same for the machine's own connections, 127.0.0.1 included
//!  input            doors    from tasks to the machine: answers and open ports only
//!  forward          passing  to tasks: from each other, answers, and published ports
//!  postrouting nat  sources  tasks go out as the machine; loopback and hairpin as the bridge
//! ```

use std::fmt::Write as _;

use super::attachment::Attachment;
use super::names::Names;
use super::subnet::Subnet;
use crate::image::Protocol;

/// What the rules depend on.
#[derive(Debug, Clone)]
pub(crate) struct Ruleset {
    pub(crate) names: Names,
    pub(crate) subnet: Subnet,
}

impl Ruleset {
    /// Makes the whole table, or brings an existing one to this form. One transaction: connections and published
    /// ports that stay do not notice.
    pub(crate) fn whole<'a>(
        &self,
        open_ports: &[(Protocol, u16)],
        attachments: impl Iterator<Item = &'a Attachment>,
    ) -> String {
        let table = &self.names.table;
        let mut script = format!(
            "add table inet {table}
add map inet {table} ports {{ type inet_proto . inet_service : ipv4_addr . inet_service ; }}
add map inet {table} bound_ports {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service ; }}
add set inet {table} open_ports {{ type inet_proto . inet_service ; }}
flush map inet {table} ports
flush map inet {table} bound_ports
"
        );
        for (chain, definition, rules) in self.chains() {
            let _ = writeln!(script, "add chain inet {table} {chain} {{ {definition} }}");
            let _ = writeln!(script, "flush chain inet {table} {chain}");
            for rule in rules {
                let _ = writeln!(script, "add rule inet {table} {chain} {rule}");
            }
        }
        script.push_str(&self.open(open_ports));
        for attachment in attachments {
            script.push_str(&self.publish(attachment));
        }
        script
    }

    fn chains(&self) -> [(&'static str, &'static str, Vec<String>); 6] {
        let (bridge, subnet) = (&self.names.bridge, &self.subnet);
        let publish = |scope: &str| {
            vec![
                format!(
                    "{scope}fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @bound_ports"
                ),
                format!("{scope}fib daddr type local dnat ip to meta l4proto . th dport map @ports"),
            ]
        };
        [
            (
                "guard",
                "type filter hook prerouting priority raw ; policy accept ;",
                vec![
                    format!("iifname \"{bridge}\" meta nfproto ipv6 drop"),
                    format!("iifname \"{bridge}\" ip saddr != {subnet} drop"),
                    format!("iifname \"{bridge}\" ip daddr {{ 127.0.0.0/8, 169.254.0.0/16 }} drop"),
                ],
            ),
            ("arriving", "type nat hook prerouting priority dstnat ; policy accept ;", publish("")),
            ("leaving", "type nat hook output priority -100 ; policy accept ;", publish("")),
            (
                "doors",
                "type filter hook input priority filter ; policy accept ;",
                vec![
                    format!("iifname \"{bridge}\" ct state established,related accept"),
                    format!("iifname \"{bridge}\" icmp type echo-request accept"),
                    format!("iifname \"{bridge}\" meta l4proto . th dport @open_ports accept"),
                    format!("iifname \"{bridge}\" meta l4proto tcp reject with tcp reset"),
                    format!("iifname \"{bridge}\" reject"),
                ],
            ),
            (
                "passing",
                "type filter hook forward priority filter ; policy accept ;",
                vec![
                    format!("oifname \"{bridge}\" ct state established,related accept"),
                    format!("oifname \"{bridge}\" iifname \"{bridge}\" accept"),
                    format!("oifname \"{bridge}\" ct status dnat accept"),
                    format!("oifname \"{bridge}\" drop"),
                ],
            ),
            (
                "sources",
                "type nat hook postrouting priority srcnat ; policy accept ;",
                vec![
                    format!("oifname \"{bridge}\" ip saddr 127.0.0.0/8 masquerade"),
                    format!("oifname \"{bridge}\" ip saddr {subnet} ct status dnat masquerade"),
                    format!("oifname != \"{bridge}\" ip saddr {subnet} masquerade"),
                ],
            ),
        ]
    }

    /// Lets tasks reach these listeners of the machine, and no others.
    pub(crate) fn open(&self, ports: &[(Protocol, u16)]) -> String {
        let table = &self.names.table;
        let mut script = format!("flush set inet {table} open_ports\n");
        if !ports.is_empty() {
            let list: Vec<String> =
                ports.iter().map(|(protocol, port)| format!("{protocol} . {port}")).collect();
            let _ = writeln!(script, "add element inet {table} open_ports {{ {} }}", list.join(", "));
        }
        script
    }

    /// Publishes the ports of one task; nothing if it has none.
    pub(crate) fn publish(&self, attachment: &Attachment) -> String {
        self.elements("add", attachment, true)
    }

    /// Takes them back.
    pub(crate) fn unpublish(&self, attachment: &Attachment) -> String {
        self.elements("delete", attachment, false)
    }

    fn elements(&self, verb: &str, attachment: &Attachment, with_target: bool) -> String {
        let table = &self.names.table;
        let mut script = String::new();
        for port in &attachment.ports {
            let target = if with_target {
                format!(" : {} . {}", attachment.address, port.container_port)
            } else {
                String::new()
            };
            let (map, key) = match port.host_address {
                Some(address) => {
                    ("bound_ports", format!("{address} . {} . {}", port.protocol, port.host_port))
                }
                None => ("ports", format!("{} . {}", port.protocol, port.host_port)),
            };
            let _ = writeln!(script, "{verb} element inet {table} {map} {{ {key}{target} }}");
        }
        script
    }

    /// Removes everything; a table that is not there is fine.
    pub(crate) fn destroy(&self) -> String {
        format!("add table inet {0}\ndelete table inet {0}\n", self.names.table)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::network::PublishedPort;

    #[test]
    fn ports_of_one_task_are_published_and_taken_back_by_key() {
        let ruleset = Ruleset { names: Names::new("x"), subnet: "10.64.0.0/20".parse().unwrap() };
        let port = PublishedPort {
            host_address: None,
            host_port: 31_000,
            container_port: 80,
            protocol: Protocol::Tcp,
        };
        let bound = PublishedPort {
            host_address: Some(Ipv4Addr::LOCALHOST),
            host_port: 31_001,
            container_port: 53,
            protocol: Protocol::Udp,
        };
        let attachment = Attachment {
            task: "web.1".to_owned(),
            address: Ipv4Addr::new(10, 64, 0, 2),
            gateway: ruleset.subnet.gateway(),
            namespace: "/run/x".into(),
            host_interface: "kvx".to_owned(),
            ports: vec![port, bound],
        };
        let table = &ruleset.names.table;
        assert_eq!(
            ruleset.publish(&attachment),
            format!(
                "add element inet {table} ports {{ tcp . 31000 : 10.64.0.2 . 80 }}\n\
                 add element inet {table} bound_ports {{ 127.0.0.1 . udp . 31001 : 10.64.0.2 . 53 }}\n"
            )
        );
        assert_eq!(
            ruleset.unpublish(&attachment),
            format!(
                "delete element inet {table} ports {{ tcp . 31000 }}\n\
                 delete element inet {table} bound_ports {{ 127.0.0.1 . udp . 31001 }}\n"
            )
        );
        assert_eq!(ruleset.publish(&Attachment { ports: Vec::new(), ..attachment }), "");
    }
}
