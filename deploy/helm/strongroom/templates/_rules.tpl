{{- /* What the operator does in a namespace that it serves. Secrets are replaced whole, never patched. */}}
{{- define "strongroom.namespacedRules" -}}
- apiGroups: [external-secrets.io]
  resources: [externalsecrets, secretstores]
  verbs: [get, list, watch]
# The finalizer of deletionPolicy: Delete.
- apiGroups: [external-secrets.io]
  resources: [externalsecrets]
  verbs: [patch]
- apiGroups: [external-secrets.io]
  resources: [externalsecrets/status, secretstores/status]
  verbs: [patch]
{{- if .Values.openshiftFinalizers }}
- apiGroups: [external-secrets.io]
  resources: [externalsecrets/finalizers]
  verbs: [update]
{{- end }}
{{- if .Values.processPushSecret }}
# Patched for the finalizer of deletionPolicy: Delete.
- apiGroups: [external-secrets.io]
  resources: [pushsecrets]
  verbs: [get, list, watch, patch]
- apiGroups: [external-secrets.io]
  resources: [pushsecrets/status]
  verbs: [patch]
{{- end }}
# Read when a value is due; nobody watches them.
- apiGroups: [generators.external-secrets.io]
  resources: [ecrauthorizationtokens, fakes, mfas, passwords, sshkeys, stssessiontokens, uuids, webhooks]
  verbs: [get]
- apiGroups: [generators.external-secrets.io]
  resources: [vaultdynamicsecrets]
  verbs: [get]
# What generators made at a server, to be renewed and revoked; patched for its finalizer and its deadline.
- apiGroups: [generators.external-secrets.io]
  resources: [generatorstates]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, delete]
{{- if .Values.kamus.enabled }}
- apiGroups: [soluto.com]
  resources: [kamussecrets]
  verbs: [list, watch]
- apiGroups: [soluto.com]
  resources: [kamussecrets/status]
  verbs: [patch]
{{- if .Values.openshiftFinalizers }}
- apiGroups: [soluto.com]
  resources: [kamussecrets/finalizers]
  verbs: [update]
{{- end }}
{{- end }}
# Authorities of stores, templates, and the cloud roles that service accounts name.
- apiGroups: [""]
  resources: [configmaps, serviceaccounts]
  verbs: [get]
{{- if .Values.rbac.serviceAccountTokenCreate }}
- apiGroups: [""]
  resources: [serviceaccounts/token]
  verbs: [create]
{{- end }}
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- if .Values.secretOperator.queueUrl }}
# Workloads that a mapping of secret-operator has rolled.
- apiGroups: [awssecretsoperator.secretoperator]
  resources: [secretsrotationmappings]
  verbs: [list]
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [list, patch]
{{- end }}
{{- if ne .Values.restarts.of "off" }}
# Workloads that are restarted when a Secret changes: an annotation of theirs, and one of their pods' template.
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [list, watch, patch]
- apiGroups: [batch]
  resources: [cronjobs]
  verbs: [list, watch]
{{- if .Values.restarts.reportPods }}
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
{{- end }}
{{- end }}
{{- if .Values.genericTargets.enabled }}
{{- if has "ConfigMap" .Values.genericTargets.kinds }}
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create, patch, delete]
{{- end }}
{{- range .Values.genericTargets.resources }}
- apiGroups: [{{ .apiGroup | quote }}]
  resources: {{ toJson .resources }}
  verbs: {{ default (list "get" "create" "patch" "delete") .verbs | toJson }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What it does besides, where it serves the whole cluster. */}}
{{- define "strongroom.clusterRules" -}}
# Labels of namespaces decide which stores they may use and which ClusterExternalSecrets reach them.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
{{- if include "strongroom.servesClusterKinds" . }}
{{- if .Values.processClusterStore }}
- apiGroups: [external-secrets.io]
  resources: [clustersecretstores]
  verbs: [get, list, watch]
- apiGroups: [external-secrets.io]
  resources: [clustersecretstores/status]
  verbs: [patch]
{{- end }}
{{- if .Values.processClusterExternalSecret }}
- apiGroups: [external-secrets.io]
  resources: [clusterexternalsecrets]
  verbs: [get, list, watch, patch]
- apiGroups: [external-secrets.io]
  resources: [clusterexternalsecrets/status]
  verbs: [patch]
- apiGroups: [external-secrets.io]
  resources: [externalsecrets]
  verbs: [create, delete]
{{- if .Values.openshiftFinalizers }}
- apiGroups: [external-secrets.io]
  resources: [clusterexternalsecrets/finalizers]
  verbs: [update]
{{- end }}
# Finalizers that External Secrets Operator left on namespaces are taken off.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [patch]
{{- end }}
{{- if and .Values.processPushSecret .Values.processClusterPushSecret }}
- apiGroups: [external-secrets.io]
  resources: [clusterpushsecrets]
  verbs: [get, list, watch]
- apiGroups: [external-secrets.io]
  resources: [clusterpushsecrets/status]
  verbs: [patch]
- apiGroups: [external-secrets.io]
  resources: [pushsecrets]
  verbs: [create, delete]
{{- if .Values.openshiftFinalizers }}
- apiGroups: [external-secrets.io]
  resources: [clusterpushsecrets/finalizers]
  verbs: [update]
{{- end }}
{{- end }}
- apiGroups: [generators.external-secrets.io]
  resources: [clustergenerators]
  verbs: [get]
{{- if ne .Values.kes "off" }}
- apiGroups: [kubernetes-client.io]
  resources: [externalsecrets]
  verbs: [get, list, watch]
- apiGroups: [kubernetes-client.io]
  resources: [externalsecrets/status]
  verbs: [patch]
{{- if .Values.openshiftFinalizers }}
- apiGroups: [kubernetes-client.io]
  resources: [externalsecrets/finalizers]
  verbs: [update]
{{- end }}
{{- end }}
{{- if ne .Values.storePolicies "off" }}
- apiGroups: [strongroom.dev]
  resources: [storepolicies]
  verbs: [get, list, watch]
- apiGroups: [strongroom.dev]
  resources: [storepolicies/status]
  verbs: [patch]
{{- end }}
{{- end }}
{{- end }}
