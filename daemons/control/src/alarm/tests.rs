use kogge_store::backend::redb::{Embedded, Options};
use kogge_store::{Consistency, Key};

use super::*;
use crate::name::tests::server;
use crate::standing::ServerRecord;

const SILENT: Alarm = Alarm { fence: 7, is_silent: true, seekers: 0, is_slow: false, is_fast: false };

const fn sought(seekers: usize) -> Alarm {
    Alarm { is_silent: false, seekers, ..SILENT }
}

fn gives_way(others: usize, raised: &[Alarm], heard: usize, known: usize, is_growing: bool) -> bool {
    let alarms = Alarms { others, raised: raised.to_vec() };
    alarms.against(Crowd { heard, known }, is_growing).is_some()
}

#[test]
fn a_leader_gives_way_when_all_others_find_it_silent_and_it_hears_fewer_than_half() {
    assert!(gives_way(2, &[SILENT, SILENT], 0, 5, true));
    assert!(gives_way(2, &[SILENT, SILENT], 2, 5, true));
    assert!(!gives_way(2, &[SILENT, SILENT], 3, 5, true), "it is where most agents are");
    assert!(!gives_way(2, &[SILENT], 0, 5, true), "one other reaches it: the agents have died");
    assert!(!gives_way(2, &[SILENT, sought(0)], 0, 5, true));
    assert!(!gives_way(0, &[], 0, 5, false), "there is nobody else");
    assert!(!gives_way(1, &[SILENT], 0, 0, false), "there are no agents by which to tell who is cut off");
}

#[test]
fn a_leader_gives_way_when_more_agents_look_for_it_than_it_hears_and_none_of_them_finds_it() {
    assert!(gives_way(2, &[sought(3)], 0, 5, false));
    assert!(gives_way(2, &[sought(1), sought(3)], 2, 5, false));
    assert!(!gives_way(2, &[sought(3)], 2, 5, true), "they are on their way");
    assert!(!gives_way(2, &[sought(3)], 3, 5, false));
    assert!(!gives_way(2, &[sought(2), sought(2)], 2, 5, false), "they may be the same two");
    assert!(!gives_way(2, &[sought(0)], 0, 5, false), "they are dead");
}

#[test]
fn a_slow_leader_gives_way_when_the_engine_is_fast_for_another_one() {
    let fast = Alarm { is_silent: false, is_fast: true, ..SILENT };
    let gives_way = |raised: &[Alarm]| Alarms { others: 2, raised: raised.to_vec() }.against_slow().is_some();
    assert!(gives_way(&[fast]) && gives_way(&[SILENT, fast]));
    assert!(!gives_way(&[]) && !gives_way(&[SILENT, sought(3)]), "the engine may be slow for everybody");
}

#[test]
fn alarms_of_older_servers_are_read_and_they_read_ours() {
    let older = br#"{"fence":7,"is_silent":true,"seekers":0}"#;
    assert_eq!(serde_json::from_slice::<Alarm>(older).unwrap(), SILENT);
    assert_eq!(serde_json::to_vec(&SILENT).unwrap(), older);
}

#[tokio::test]
async fn alarms_are_about_one_lead_and_of_servers_that_live() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(Embedded::open(directory.path(), Options::default()).await.unwrap());
    for name in ["s1", "s2", "s3"] {
        let record = ServerRecord { name: name.to_owned(), ..server(1) };
        store.commit(Commit::new().put(keys::under(keys::SERVERS, name), record.to_bytes())).await.unwrap();
    }
    let old = Alarm { fence: 6, ..SILENT };
    for (name, alarm) in [("s1", SILENT), ("s2", SILENT), ("s3", old), ("dead", SILENT)] {
        Voice::new(Arc::clone(&store), name.to_owned()).say(Some(alarm)).await;
    }
    let image = Image::read(store.as_ref()).await.unwrap();
    assert_eq!(Alarms::of(&image, "s1", 7), Alarms { others: 2, raised: vec![SILENT] });
    assert!(Alarms::of(&image, "s1", 8).is_empty());
}

#[tokio::test]
async fn what_an_earlier_life_has_said_is_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(Embedded::open(directory.path(), Options::default()).await.unwrap());
    let key: Key = keys::under(keys::ALARMS, "s2");
    let stands = async || store.get(&key, Consistency::Linearizable).await.unwrap().entry.is_some();
    Voice::new(Arc::clone(&store), "s2".to_owned()).say(Some(SILENT)).await;
    assert!(stands().await);
    let mut voice = Voice::new(Arc::clone(&store), "s2".to_owned());
    voice.say(None).await;
    assert!(!stands().await);
    voice.say(Some(SILENT)).await;
    voice.say(Some(Alarm { is_silent: false, ..sought(4) })).await;
    assert!(stands().await);
    voice.say(None).await;
    assert!(!stands().await);
}
