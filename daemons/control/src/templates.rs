//! Templates as they come out of records: those that instances and tasks of a service have in common are kept once, as
//! they are in a leader that launched them. A hundred thousand of their own would be hundreds of MiB.

use std::collections::BTreeMap;
use std::sync::Arc;

use kogge_model::name::ServiceId;
use kogge_model::template::TaskTemplate;

/// Versions of a service that are looked through; it rarely has more than two at once.
const VERSIONS: usize = 8;

/// The templates seen so far.
#[derive(Debug, Default)]
pub(crate) struct Templates(BTreeMap<ServiceId, Vec<Arc<TaskTemplate>>>);

impl Templates {
    /// Puts the equal one that is known in place of `template`, if there is one.
    pub(crate) fn share(&mut self, service: &ServiceId, template: &mut Arc<TaskTemplate>) {
        let Some(known) = self.0.get_mut(service) else {
            self.0.insert(service.clone(), vec![Arc::clone(template)]);
            return;
        };
        match known.iter().find(|known| *known == template) {
            Some(same) => *template = Arc::clone(same),
            None if known.len() < VERSIONS => known.push(Arc::clone(template)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(restart_count: u64) -> Arc<TaskTemplate> {
        Arc::new(TaskTemplate { restart_count, ..TaskTemplate::default() })
    }

    #[test]
    fn equal_templates_of_a_service_become_one_and_others_stay_what_they_are() {
        let mut templates = Templates::default();
        let service = "/prod/shop".parse().unwrap();
        let mut seen: Vec<_> = [1, 2, 1, 2, 1].map(template).into();
        let before = seen.clone();
        seen.iter_mut().for_each(|template| templates.share(&service, template));
        assert_eq!(seen, before);
        assert!(Arc::ptr_eq(&seen[0], &seen[2]) && Arc::ptr_eq(&seen[1], &seen[3]));
        let mut elsewhere = template(1);
        templates.share(&"/prod/other".parse().unwrap(), &mut elsewhere);
        assert!(!Arc::ptr_eq(&elsewhere, &seen[0]));
    }
}
