{{- /* The name of all that belongs to the role, with room for what is appended. */}}
{{- define "strongroom.admission.name" -}}
{{ printf "%s-admission" (include "strongroom.fullname" . | trunc 41 | trimSuffix "-") }}
{{- end }}

{{- /* The name of the Secret with a certificate of our own, and of the Lease of whoever renews it. */}}
{{- define "strongroom.admission.certificate" -}}
{{ include "strongroom.admission.name" . }}-certificate
{{- end }}

{{- define "strongroom.admission.selectorLabels" -}}
app.kubernetes.io/name: {{ include "strongroom.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: admission
{{- end }}

{{- define "strongroom.admission.labels" -}}
{{ include "strongroom.labels" . | replace "app.kubernetes.io/component: operator" "app.kubernetes.io/component: admission" }}
{{- end }}

{{- define "strongroom.admission.serviceAccountName" -}}
{{- $account := .Values.admission.serviceAccount -}}
{{- if $account.create -}}
{{ default (include "strongroom.admission.name" .) $account.name }}
{{- else -}}
{{ default "default" $account.name }}
{{- end -}}
{{- end }}

{{- /* The image that containers get the small program from. */}}
{{- define "strongroom.admission.initImage" -}}
{{- with .Values.admission.init.image -}}
{{- if .digest -}}
{{ printf "%s@%s" .repository .digest }}
{{- else -}}
{{ printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* The image of the agents of pods with files. */}}
{{- define "strongroom.admission.agentImage" -}}
{{- with .Values.admission.agent.image -}}
{{- if not .repository -}}
{{ include "strongroom.admission.initImage" $ }}
{{- else if .digest -}}
{{ printf "%s@%s" .repository .digest }}
{{- else -}}
{{ printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* The role's command line. */}}
{{- define "strongroom.admission.arguments" -}}
{{- $admission := .Values.admission -}}
- admission
- --log-level={{ .Values.log.level }}
- --log-format={{ .Values.log.format }}
- --listen-address=:8443
- --telemetry-listen-address=:9090
- {{ printf "--image=%s" (include "strongroom.admission.initImage" .) | quote }}
- --pull-policy={{ $admission.init.image.pullPolicy }}
- {{ printf "--agent-image=%s" (include "strongroom.admission.agentImage" .) | quote }}
- --agent-pull-policy={{ $admission.agent.image.pullPolicy }}
- {{ printf "--agent-resources=%s" (toJson $admission.agent.resources) | quote }}
- --agent-files-size={{ $admission.agent.filesSize }}
- --agent-least-refresh={{ $admission.agent.leastRefresh }}
{{- with $admission.vault.address }}
- {{ printf "--vault-address=%s" . | quote }}
{{- end }}
{{- with $admission.vault.audience }}
- {{ printf "--vault-audience=%s" . | quote }}
{{- end }}
{{- with $admission.defaultImagePullSecret.name }}
- --default-image-pull-secret={{ . }}
{{- end }}
{{- with $admission.defaultImagePullSecret.namespace }}
- --default-image-pull-secret-namespace={{ . }}
{{- end }}
{{- if $admission.certificate.secretName }}
- --tls-cert-file=/etc/strongroom/tls/tls.crt
- --tls-private-key-file=/etc/strongroom/tls/tls.key
{{- else }}
- --certificate-service={{ include "strongroom.admission.name" . }}
- --certificate-secret={{ include "strongroom.admission.certificate" . }}
- --certificate-lease={{ include "strongroom.admission.certificate" . }}
- --mutating-configuration={{ include "strongroom.admission.name" . }}
- --validating-configuration={{ include "strongroom.admission.name" . }}
{{- end }}
{{- if include "strongroom.kamus.isMarked" . }}
{{ include "strongroom.kamus.keyArguments" . }}
{{- end }}
{{- range $flag, $value := $admission.extraArgs }}
{{- if or (kindIs "invalid" $value) (eq (toString $value) "") }}
- --{{ $flag }}
{{- else }}
- {{ printf "--%s=%s" $flag (toString $value) | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- /*
CEL: whether a pod says itself that it wants something. What begins like a reference is what core/reference takes for
one, or a little more, since the role decides. The API server counts what an expression costs, and refuses a pod for
which it costs too much, by the length of its values: so a colon and the first letter are asked for first, and long
values are not searched for references inside of them.
*/}}
{{- define "strongroom.admission.isExplicit" -}}
{{- $value := "variable.value" -}}
{{- $beginnings := list "sr://" "gcp:secretmanager:" "azure:keyvault:" "vault:" "bao:" ">>vault:" ">>bao:" -}}
{{- $first := "asgvb>" -}}
{{- $insides := list "${vault:" "${bao:" "${>>vault:" "${>>bao:" -}}
object.metadata.?annotations.orValue({}).exists(name,
  name.startsWith('strongroom.dev/inject') || name.startsWith('strongroom.dev/file') || name == 'secrets.k8s.aws/secret-arn' ||
  name.startsWith('vault.security.banzaicloud.io/')) ||
(object.spec.?containers.orValue([]) + object.spec.?initContainers.orValue([])).exists(container,
  container.?env.orValue([]).exists(variable,
    has({{ $value }}) && {{ $value }}.contains(':') && (
      '{{ $first }}'.contains({{ $value }}.charAt(0)) && (
        {{- range $beginnings }}
        {{ $value }}.startsWith('{{ . }}') ||
        {{- end }}
        {{ $value }}.startsWith('arn:aws') &&
          ({{ $value }}.contains(':secretsmanager') || {{ $value }}.contains(':ssm:'))) ||
      {{ $value }}.contains('${') && (
        {{ $value }}.size() > 4096
        {{- range $insides }} ||
        {{ $value }}.contains('{{ . }}')
        {{- end }}))))
{{- end }}

{{- /* CEL: whether variables of a pod come from ConfigMaps or Secrets, which may hold references. */}}
{{- define "strongroom.admission.isIndirect" -}}
(object.spec.?containers.orValue([]) + object.spec.?initContainers.orValue([])).exists(container,
  container.?envFrom.orValue([]).size() > 0 ||
  container.?env.orValue([]).exists(variable, has(variable.valueFrom) &&
    (has(variable.valueFrom.configMapKeyRef) || has(variable.valueFrom.secretKeyRef))))
{{- end }}

{{- /* CEL: whether a pod leaves it to us; one that does not starts also while nobody answers. */}}
{{- define "strongroom.admission.isWilling" -}}
object.metadata.?annotations['strongroom.dev/inject'].orValue('') != 'false'
{{- end }}

{{- /* Whose pods are looked at. Our own namespace never is, or a start of ours would wait for itself. */}}
{{- define "strongroom.admission.namespaces" -}}
{{- $selector := .Values.admission.namespaceSelector -}}
{{- with $selector.matchLabels }}
matchLabels: {{- toYaml . | nindent 2 }}
{{- end }}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values: {{ append .Values.admission.excludedNamespaces .Release.Namespace | uniq | toJson }}
  - {key: admission.secrets-init/ignore, operator: DoesNotExist}
  - {key: kube-secrets-init.doit-intl.com/disable-mutation, operator: NotIn, values: ["true"]}
  {{- with $selector.matchExpressions }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- /* How the API server calls us: (dict "path" PATH "context" $). The caBundle of our own authority is not ours to
say: the role keeps it. */}}
{{- define "strongroom.admission.client" -}}
service:
  name: {{ include "strongroom.admission.name" .context }}
  namespace: {{ .context.Release.Namespace }}
  path: {{ .path }}
  port: 443
{{- with .context.Values.admission.certificate }}
{{- if and .secretName .caBundle }}
caBundle: {{ .caBundle | b64enc }}
{{- end }}
{{- end }}
{{- end }}
