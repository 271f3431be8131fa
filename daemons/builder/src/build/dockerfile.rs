//! Which images a Dockerfile starts from, as far as we must know them before the build.

/// The names in `FROM` lines, each once, in order; stages of the file itself and `scratch` are none.
pub(crate) fn bases(dockerfile: &str) -> Vec<String> {
    let mut bases: Vec<String> = Vec::new();
    let mut stages: Vec<String> = Vec::new();
    for line in dockerfile.lines() {
        let mut words = line.split_whitespace();
        if !words.next().is_some_and(|word| word.eq_ignore_ascii_case("from")) {
            continue;
        }
        let mut words = words.skip_while(|word| word.starts_with("--"));
        let Some(name) = words.next() else { continue };
        let is_known = name == "scratch" || stages.iter().any(|stage| stage.eq_ignore_ascii_case(name));
        // A name made of build arguments is buildah's to resolve.
        if !is_known && !name.contains('$') && !bases.iter().any(|base| base == name) {
            bases.push(name.to_owned());
        }
        if words.next().is_some_and(|word| word.eq_ignore_ascii_case("as")) {
            stages.extend(words.next().map(str::to_owned));
        }
    }
    bases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_arguments_and_scratch_are_no_bases() {
        let text = "ARG V=1\nFROM --platform=linux/amd64 kogge/base:12 AS Build\nRUN true\n# FROM x\n\
                    FROM scratch\nfrom build\nFROM kogge/base:12\nFROM debian:$V\n  FROM debian:12 as last\nFROM";
        assert_eq!(bases(text), ["kogge/base:12", "debian:12"]);
    }
}
