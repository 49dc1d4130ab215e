//! Packages of npm.

#[test]
fn a_script_finds_the_pinned_packages_and_its_failure_is_told() {
    let packages = world::npm::prepare().unwrap();
    let printed =
        packages.run("console.log(require('node-vault/package.json').version + process.env.X)", &[("X", "!")]);
    assert_eq!(printed.unwrap(), "0.12.0!\n");
    let failure = packages.run("throw new Error('no luck')", &[]).unwrap_err().to_string();
    assert!(failure.contains("no luck"), "{failure}");
}
