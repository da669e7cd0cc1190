//! The READMEs and manifests of the crates, as a registry shows them.

use std::fs;

use crate::repository::root;

const HOME: &str = "https://github.com/cvm-watch/cvm-watch";

#[test]
fn each_crate_page_reads_right_on_a_registry() {
    let mut pages = 0;
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        if manifest.contains("publish = false") {
            continue;
        }
        let page = fs::read_to_string(folder.join("README.md")).unwrap();
        assert!(page.starts_with(&format!("# {name}\n")), "{name}: the title");
        let is_program = manifest.contains("[[bin]]");
        let line = if is_program { format!("cargo install {name}") } else { format!("\n{name} = ") };
        assert!(page.contains(&line), "{name}: no {line:?}");
        assert!(page.contains(&format!("]({HOME})")), "{name}: no link to the repository");
        let text: String = page.split("```").step_by(2).collect();
        assert!(
            !text.contains("[`") || text.matches("[`").count() == text.matches("`](").count(),
            "{name}: a rustdoc link"
        );
        let relative = text.split("](").skip(1).find(|target| !target.starts_with("http"));
        assert!(relative.is_none(), "{name}: a link that only the repository has: {relative:?}");
        let hidden = page.split("```").skip(1).step_by(2).any(|code| code.starts_with("rust") && code.contains("\n# "));
        assert!(!hidden, "{name}: a line that rustdoc hides and a registry shows");
        for key in ["description", "readme", "keywords", "categories", "documentation", "repository", "homepage"] {
            assert!(manifest.lines().any(|line| line.starts_with(key)), "{name}: no {key}");
        }
        assert!(is_program || manifest.contains("[package.metadata.docs.rs]\nall-features = true"), "{name}: docs.rs");
        pages += 1;
    }
    assert!(pages >= 10, "{pages} pages");
}
