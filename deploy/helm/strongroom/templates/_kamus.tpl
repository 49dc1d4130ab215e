{{- /* What goes wrong only in use, told at once. */}}
{{- define "strongroom.kamus.check" -}}
{{- $keys := .Values.kamus.keys -}}
{{- if not $keys.management -}}
{{- fail "kamus.enabled needs kamus.keys.management: who wraps the installation's keys" -}}
{{- end -}}
{{- if eq $keys.management "local" -}}
{{- if not $keys.localKey.secretName -}}
{{- fail "kamus.keys.management: local needs kamus.keys.localKey.secretName" -}}
{{- end -}}
{{- else if not $keys.key -}}
{{- fail (printf "kamus.keys.management: %s needs kamus.keys.key" $keys.management) -}}
{{- end -}}
{{- if and (not .Values.kamus.allowUnverified) (not .Values.admission.enabled) -}}
{{- fail "kamus.enabled needs admission.enabled, which says who may name a service account; or kamus.allowUnverified, and whoever makes KamusSecrets reads what is encrypted for any account of the namespace" -}}
{{- end -}}
{{- end }}

{{- /* "true" where admission marks KamusSecrets. */}}
{{- define "strongroom.kamus.isMarked" -}}
{{- if and .Values.kamus.enabled .Values.admission.enabled (not .Values.kamus.allowUnverified) }}true{{ end -}}
{{- end }}

{{- /* The flags by which a role finds the installation's keys. */}}
{{- define "strongroom.kamus.keyArguments" -}}
{{- $kamus := .Values.kamus -}}
- --keys-secret={{ .Release.Namespace }}/{{ $kamus.keys.secretName }}
- --installation={{ $kamus.keys.installation }}
- --key-management={{ $kamus.keys.management }}
{{- with $kamus.keys.key }}
- {{ printf "--key=%s" . | quote }}
{{- end }}
{{- if $kamus.keys.localKey.secretName }}
- --local-key-file=/etc/strongroom/kamus-key/key
{{- end }}
{{- if $kamus.legacyKey.secretName }}
- --kamus-aes-key-file=/etc/strongroom/kamus-legacy-key/key
{{- end }}
{{- if $kamus.legacyKey.derivation }}
- --kamus-key-derivation
{{- end }}
{{- if $kamus.legacyKey.insecureAnyAccountReadsAll }}
- --insecure-any-account-reads-kamus-texts
{{- end }}
{{- end }}

{{- define "strongroom.kamus.volumeMounts" -}}
{{- if .Values.kamus.keys.localKey.secretName }}
- {name: kamus-key, mountPath: /etc/strongroom/kamus-key, readOnly: true}
{{- end }}
{{- if .Values.kamus.legacyKey.secretName }}
- {name: kamus-legacy-key, mountPath: /etc/strongroom/kamus-legacy-key, readOnly: true}
{{- end }}
{{- end }}

{{- define "strongroom.kamus.volumes" -}}
{{- with .Values.kamus.keys.localKey }}
{{- if .secretName }}
- name: kamus-key
  secret:
    secretName: {{ .secretName }}
    items: [{key: {{ .secretKey | quote }}, path: key}]
{{- end }}
{{- end }}
{{- with .Values.kamus.legacyKey }}
{{- if .secretName }}
- name: kamus-legacy-key
  secret:
    secretName: {{ .secretName }}
    items: [{key: {{ .secretKey | quote }}, path: key}]
{{- end }}
{{- end }}
{{- end }}

{{- /* "true" where a role that has the keys mounts anything for them. */}}
{{- define "strongroom.kamus.hasVolumes" -}}
{{- if or .Values.kamus.keys.localKey.secretName .Values.kamus.legacyKey.secretName }}true{{ end -}}
{{- end }}

{{- /* Of one service, (dict "service" "encryptor" "context" $): its name, with room for what is appended. */}}
{{- define "strongroom.kamus.name" -}}
{{ printf "%s-kamus-%s" (include "strongroom.fullname" .context | trunc 46 | trimSuffix "-") .service }}
{{- end }}

{{- define "strongroom.kamus.selectorLabels" -}}
app.kubernetes.io/name: {{ include "strongroom.name" .context }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: kamus-{{ .service }}
{{- end }}

{{- define "strongroom.kamus.labels" -}}
{{ include "strongroom.labels" .context | replace "app.kubernetes.io/component: operator" (printf "app.kubernetes.io/component: kamus-%s" .service) }}
{{- end }}

{{- define "strongroom.kamus.serviceAccountName" -}}
{{- $account := (get .context.Values.kamus .service).serviceAccount -}}
{{- if $account.create -}}
{{ default (include "strongroom.kamus.name" .) $account.name }}
{{- else -}}
{{ default "default" $account.name }}
{{- end -}}
{{- end }}
