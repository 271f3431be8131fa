//! Addresses: what they mean, and what is wrong with them.

use super::super::config::{ClientFiles, Config, TlsFiles, User};

fn meaning(text: &str) -> Config {
    text.parse().unwrap()
}

fn faults(text: &str) -> String {
    let error = text.parse::<Config>().unwrap_err().to_string();
    error.strip_prefix("etcd address: ").unwrap().to_owned()
}

fn endpoints(config: &Config) -> Vec<String> {
    config.endpoints.iter().map(ToString::to_string).collect()
}

#[test]
fn hosts_have_the_usual_port_and_clouds_the_usual_prefix() {
    let config = meaning("etcd://one,two:1234,[::1]:5,10.0.0.1/");
    assert_eq!(endpoints(&config), ["one:2379", "two:1234", "[::1]:5", "10.0.0.1:2379"]);
    assert_eq!((config.prefix.as_str(), config.tls, config.user), ("kogge", None, None));
    assert_eq!(meaning("etcd://one").prefix, "kogge");
    assert_eq!(meaning("etcd://one/clouds/prod.1/").prefix, "clouds/prod.1");
}

#[test]
fn users_and_files_are_unescaped() {
    let config = meaning("etcds://ko%67ge:p%40ss%2F:w%25@one:1/x?ca=/a%20b/ca.pem&cert=c.pem&key=k.pem");
    assert_eq!(config.user, Some(User { name: "kogge".into(), password: "p@ss/:w%".into() }));
    let client = Some(ClientFiles { certificate: "c.pem".into(), key: "k.pem".into() });
    assert_eq!(config.tls, Some(TlsFiles { authority: "/a b/ca.pem".into(), client }));
    assert!(!format!("{config:?}").contains("p@ss"), "a password is never shown");
    assert_eq!(config.to_string(), "etcds://kogge@one:1/x");
    assert_eq!(meaning("etcd://[::1],two/").to_string(), "etcd://[::1]:2379,two:2379/kogge");
}

#[test]
fn all_faults_are_told_at_once() {
    assert_eq!(faults("http://one"), "it must begin with etcd:// or etcds://");
    assert_eq!(faults("etcd://"), "no host is named");
    assert_eq!(faults("etcd://,/x"), "no host is named");
    assert_eq!(
        faults("etcds://root@one:0,t wo,two,two:2379/a//b?cert=x&colour=red&ca="),
        "a user needs a password: USER:PASSWORD@; \
         \"one:0\" is not HOST or HOST:PORT; \
         \"t wo\" is not HOST or HOST:PORT; \
         two:2379 is named twice; \
         prefix \"a//b\" is not made of letters, digits, '.', '_', '-' between single slashes, 256 bytes at most; \
         \"colour\" is not a parameter: ca, cert and key are, each once and with a file; \
         \"ca\" is not a parameter: ca, cert and key are, each once and with a file; \
         cert=FILE and key=FILE belong together; \
         etcds:// needs ca=FILE, the certificate that vouches for etcd"
    );
    assert_eq!(faults("etcd://one?ca=x"), "ca, cert and key are for etcds://");
    assert_eq!(faults("etcd://[::g]:1"), "\"[::g]:1\" is not HOST or HOST:PORT");
    assert_eq!(
        faults("etcd://u:p%4@one"),
        "the password has a % that is not followed by two hexadecimal digits, or is not text"
    );
    assert_eq!(faults(&format!("etcd://one/{}", "x".repeat(257))).matches("is not made of").count(), 1);
}

#[test]
fn a_fault_never_shows_a_password() {
    for text in [
        "etcd://u:sec/ret@one/x",
        "etcd://u:sec%zret@one",
        "etcd://:secret@one",
        "etcd://u:secret@",
        "x://u:secret@one",
    ] {
        let told = faults(text);
        assert!(!told.contains("sec") && !told.contains("ret@"), "{told}");
    }
    assert!(faults("etcd://u:sec/ret@one/x").contains("write / in a password as %2F"));
}
