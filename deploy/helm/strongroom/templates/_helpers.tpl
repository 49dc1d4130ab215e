{{- define "strongroom.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "strongroom.fullname" -}}
{{- $name := include "strongroom.name" . -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- /* What names of Services begin with: they have 63 characters at most, and "-metrics" is appended. */}}
{{- define "strongroom.serviceName" -}}
{{ include "strongroom.fullname" . | trunc 55 | trimSuffix "-" }}
{{- end }}

{{- define "strongroom.selectorLabels" -}}
app.kubernetes.io/name: {{ include "strongroom.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "strongroom.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "strongroom.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "strongroom.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "strongroom.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end }}

{{- define "strongroom.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ printf "%s@%s" .repository .digest }}
{{- else -}}
{{ printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* The only namespaces that are served, as JSON; empty for all. */}}
{{- define "strongroom.namespaces" -}}
{{- $namespaces := .Values.scope.namespaces -}}
{{- with .Values.scopedNamespace }}{{ $namespaces = append $namespaces . }}{{ end -}}
{{- if and .Values.scopedRBAC (not $namespaces) }}{{ $namespaces = list .Release.Namespace }}{{ end -}}
{{- if and $namespaces .Values.scope.namespaceSelector -}}
{{- fail "scope.namespaceSelector cannot be used with scope.namespaces, scopedNamespace or scopedRBAC" -}}
{{- end -}}
{{ $namespaces | uniq | toJson }}
{{- end }}

{{- /* "true" where cluster kinds are served. */}}
{{- define "strongroom.servesClusterKinds" -}}
{{- if not (or (include "strongroom.namespaces" . | fromJsonArray) .Values.scope.namespaceSelector) }}true{{ end -}}
{{- end }}

{{- /* "true" where pods that were not injected are told of: where nobody injects, nobody is missed out. */}}
{{- define "strongroom.reportsPods" -}}
{{- if and .Values.admission.enabled .Values.admission.reportPods }}true{{ end -}}
{{- end }}

{{- define "strongroom.leaseName" -}}
{{ default "strongroom-operator" .Values.leaderElectionID }}
{{- end }}

{{- /* Values of External Secrets Operator's chart that are understood and do nothing here. */}}
{{- define "strongroom.withoutEffect" -}}
{{- $given := list -}}
{{- range $name := list "concurrent" "createOperator" "crds" "enableHTTP2" "processClusterGenerator" "vault" "webhook" "certController" -}}
{{- if hasKey $.Values $name }}{{ $given = append $given $name }}{{ end -}}
{{- end -}}
{{ join ", " $given }}
{{- end }}
