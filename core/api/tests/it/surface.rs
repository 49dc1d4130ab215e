//! What dashboards, scripts and people's fingers know of the kinds.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps,
};

const READY_REASON: &str = r#".status.conditions[?(@.type=="Ready")].reason"#;
const READY_STATUS: &str = r#".status.conditions[?(@.type=="Ready")].status"#;

fn crd(kind: &str) -> CustomResourceDefinition {
    strongroom_api::crds().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap()
}

fn version(crd: &CustomResourceDefinition) -> &CustomResourceDefinitionVersion {
    let [version] = crd.spec.versions.as_slice() else { panic!("one version each") };
    version
}

/// The schema at `path`, in which `[]` stands for the items of a list.
fn at<'a>(crd: &'a CustomResourceDefinition, path: &str) -> &'a JSONSchemaProps {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaPropsOrArray::Schema;
    let root = version(crd).schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
    path.split('.').fold(root, |schema, step| {
        let (name, is_list) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
        let field = schema.properties.as_ref().unwrap().get(name).unwrap_or_else(|| panic!("{path}: no {name}"));
        match (&field.items, is_list) {
            (Some(Schema(items)), true) => items,
            _ => field,
        }
    })
}

#[test]
fn kinds_have_the_names_that_people_type() {
    let check = |kind: &str, group: &str, plural: &str, short: &[&str], scope: &str, category: &str| {
        let crd = crd(kind);
        let names = &crd.spec.names;
        assert_eq!((crd.spec.group.as_str(), names.plural.as_str(), crd.spec.scope.as_str()), (group, plural, scope));
        assert_eq!(names.short_names.clone().unwrap_or_default(), short, "{kind}");
        let categories: Vec<&str> = category.split(' ').collect();
        assert_eq!(names.categories.clone().unwrap_or_default(), categories, "{kind}");
        assert_eq!(names.list_kind.as_deref(), Some(format!("{kind}List").as_str()));
        let version = version(&crd);
        assert!(version.served && version.storage, "{kind}");
        let has_status = version.subresources.as_ref().is_some_and(|subresources| subresources.status.is_some());
        assert_eq!(has_status, !group.starts_with("generators."), "{kind}");
        let label = crd.metadata.labels.as_ref().and_then(|labels| labels.get("external-secrets.io/component"));
        let expected = group.ends_with("external-secrets.io").then_some("controller");
        assert_eq!(label.map(String::as_str), expected, "{kind}");
    };
    let eso = "external-secrets.io";
    check("ExternalSecret", eso, "externalsecrets", &["es"], "Namespaced", "external-secrets");
    check("SecretStore", eso, "secretstores", &["ss"], "Namespaced", "external-secrets");
    check("ClusterSecretStore", eso, "clustersecretstores", &["css"], "Cluster", "external-secrets");
    check("ClusterExternalSecret", eso, "clusterexternalsecrets", &["ces"], "Cluster", "external-secrets");
    check("PushSecret", eso, "pushsecrets", &["ps"], "Namespaced", "external-secrets");
    check("ClusterPushSecret", eso, "clusterpushsecrets", &[], "Cluster", "external-secrets");
    check("StorePolicy", "strongroom.dev", "storepolicies", &[], "Cluster", "strongroom");
    let (group, both) = ("generators.external-secrets.io", "external-secrets external-secrets-generators");
    check("ClusterGenerator", group, "clustergenerators", &[], "Cluster", both);
    for (kind, plural) in strongroom_api::generators::SERVED {
        check(kind, group, plural, &[], "Namespaced", both);
    }
}

#[test]
fn columns_are_those_of_external_secrets() {
    let check = |kind: &str, expected: &[(&str, &str, &str)]| {
        let crd = crd(kind);
        let columns = version(&crd).additional_printer_columns.clone().unwrap_or_default();
        let columns: Vec<_> = columns
            .iter()
            .map(|column| (column.name.as_str(), column.type_.as_str(), column.json_path.as_str()))
            .collect();
        assert_eq!(columns, expected, "{kind}");
    };
    check(
        "ExternalSecret",
        &[
            ("StoreType", "string", ".spec.secretStoreRef.kind"),
            ("Store", "string", ".spec.secretStoreRef.name"),
            ("Refresh Interval", "string", ".spec.refreshInterval"),
            ("Status", "string", READY_REASON),
            ("Ready", "string", READY_STATUS),
            ("Last Sync", "date", ".status.refreshTime"),
        ],
    );
    for kind in ["SecretStore", "ClusterSecretStore"] {
        check(
            kind,
            &[
                ("AGE", "date", ".metadata.creationTimestamp"),
                ("Status", "string", READY_REASON),
                ("Capabilities", "string", ".status.capabilities"),
                ("Ready", "string", READY_STATUS),
            ],
        );
    }
    for kind in ["PushSecret", "ClusterPushSecret"] {
        check(kind, &[("AGE", "date", ".metadata.creationTimestamp"), ("Status", "string", READY_REASON)]);
    }
    check(
        "ClusterExternalSecret",
        &[
            ("Store", "string", ".spec.externalSecretSpec.secretStoreRef.name"),
            ("Refresh Interval", "string", ".spec.refreshTime"),
            ("Ready", "string", READY_STATUS),
        ],
    );
}

#[test]
fn fields_can_be_selected_by() {
    let crd = crd("ExternalSecret");
    let fields = version(&crd).selectable_fields.clone().unwrap_or_default();
    let fields: Vec<_> = fields.iter().map(|field| field.json_path.as_str()).collect();
    let expected =
        [".spec.secretStoreRef.name", ".spec.secretStoreRef.kind", ".spec.target.name", ".spec.refreshInterval"];
    assert_eq!(fields, expected);
}

#[test]
fn defaults_are_those_of_external_secrets() {
    let crd = crd("ExternalSecret");
    let check = |path: &str, expected: Option<serde_json::Value>| {
        assert_eq!(at(&crd, path).default.clone().map(|default| default.0), expected, "{path}");
    };
    check("spec.refreshInterval", Some("1h0m0s".into()));
    check("spec.target", Some(serde_json::json!({"creationPolicy": "Owner", "deletionPolicy": "Retain"})));
    check("spec.target.creationPolicy", Some("Owner".into()));
    check("spec.target.deletionPolicy", Some("Retain".into()));
    check("spec.target.template.engineVersion", Some("v2".into()));
    check("spec.target.template.mergePolicy", Some("Replace".into()));
    check("spec.target.template.templateFrom[].target", Some("Data".into()));
    check("spec.target.template.templateFrom[].configMap.items[].templateAs", Some("Values".into()));
    check("spec.dataFrom[].rewrite[].merge.into", Some("".into()));
    check("spec.dataFrom[].rewrite[].merge.priorityPolicy", Some("Strict".into()));
    check("spec.dataFrom[].rewrite[].merge.conflictPolicy", Some("Error".into()));
    check("spec.dataFrom[].rewrite[].merge.strategy", Some("Extract".into()));
    let generator: serde_json::Value = "generators.external-secrets.io/v1alpha1".into();
    check("spec.dataFrom[].sourceRef.generatorRef.apiVersion", Some(generator));
    // Defaults here would let tools that compare with Git find a difference for ever.
    for entry in ["spec.data[].remoteRef", "spec.dataFrom[].extract", "spec.dataFrom[].find"] {
        for field in ["conversionStrategy", "decodingStrategy", "nullBytePolicy"] {
            check(&format!("{entry}.{field}"), None);
        }
    }
    check("spec.data[].remoteRef.metadataPolicy", None);
    check("spec.target.template.templateFrom[].valuesDecodingStrategy", None);
    check("spec.refreshPolicy", None);
    check("spec.secretStoreRef.kind", None);
}

#[test]
fn choices_are_those_of_external_secrets() {
    let crd = crd("ExternalSecret");
    let check = |path: &str, expected: &[&str]| {
        let choices = at(&crd, path).enum_.clone().unwrap_or_default();
        assert_eq!(choices.iter().filter_map(|choice| choice.0.as_str()).collect::<Vec<_>>(), expected, "{path}");
    };
    check("spec.secretStoreRef.kind", &["SecretStore", "ClusterSecretStore"]);
    check("spec.refreshPolicy", &["CreatedOnce", "Periodic", "OnChange"]);
    check("spec.syncWindows.kind", &["allow", "deny"]);
    check("spec.target.creationPolicy", &["Owner", "Orphan", "Merge", "None", "CreateOrMerge"]);
    check("spec.target.deletionPolicy", &["Delete", "Merge", "Retain"]);
    check("spec.target.template.engineVersion", &["v2"]);
    check("spec.target.template.mergePolicy", &["Replace", "Merge"]);
    check("spec.target.template.templateFrom[].secret.items[].templateAs", &["Values", "KeysAndValues"]);
    check("spec.data[].remoteRef.metadataPolicy", &["None", "Fetch"]);
    check("spec.data[].remoteRef.conversionStrategy", &["Default", "Unicode"]);
    check("spec.data[].remoteRef.decodingStrategy", &["Auto", "Base64", "Base64URL", "None"]);
    check("spec.data[].remoteRef.nullBytePolicy", &["Ignore", "Fail"]);
    check("spec.dataFrom[].rewrite[].merge.priorityPolicy", &["IgnoreNotFound", "Strict"]);
    check("spec.dataFrom[].rewrite[].merge.conflictPolicy", &["Ignore", "Error"]);
    check("spec.dataFrom[].rewrite[].merge.strategy", &["Extract", "JSON"]);
}

#[test]
fn every_field_is_described_and_none_takes_null() {
    fn walk(path: &str, schema: &JSONSchemaProps) {
        use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaPropsOrArray::Schema;
        for (name, field) in schema.properties.iter().flatten() {
            let path = format!("{path}.{name}");
            assert!(field.description.as_ref().is_some_and(|words| !words.is_empty()), "{path} says nothing");
            // Links of the source's own documentation would be noise for who asks kubectl.
            let words = field.description.as_deref().unwrap_or_default();
            assert!(!words.contains("[`"), "{path}: {words}");
            assert_eq!(field.nullable, path.ends_with(".status.refreshTime").then_some(true), "{path}");
            assert!(field.any_of.is_none() && field.one_of.is_none(), "{path} has alternatives");
            walk(&path, field);
            if let Some(Schema(items)) = &field.items {
                walk(&format!("{path}[]"), items);
            }
        }
    }
    for crd in strongroom_api::crds() {
        walk(&crd.spec.names.kind, version(&crd).schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap());
    }
}
