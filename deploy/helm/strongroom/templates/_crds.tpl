{{- /* "true" where a CRD is somebody else's: it exists and bears another release's mark, or none. */}}
{{- define "strongroom.isForeignCrd" -}}
{{- $found := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" .name -}}
{{- if $found -}}
{{- $marks := default dict $found.metadata.annotations -}}
{{- $release := get $marks "meta.helm.sh/release-name" -}}
{{- $namespace := get $marks "meta.helm.sh/release-namespace" -}}
{{- if or (ne $release .context.Release.Name) (ne $namespace .context.Release.Namespace) }}true{{ end -}}
{{- end -}}
{{- end }}

{{- /* The text of all CRDs that are wanted. */}}
{{- define "strongroom.crds" -}}
{{ .Files.Get "files/crds.yaml" }}
{{- if .Values.kamus.enabled }}
{{ .Files.Get "files/kamus.yaml" }}
{{- end }}
{{- end }}

{{- /* The names of the CRDs that are somebody else's. */}}
{{- define "strongroom.foreignCrds" -}}
{{- $names := list -}}
{{- range $document := splitList "\n---\n" (printf "\n%s" (include "strongroom.crds" .)) -}}
{{- if trim $document -}}
{{- $name := ($document | fromYaml).metadata.name -}}
{{- if include "strongroom.isForeignCrd" (dict "name" $name "context" $) }}{{ $names = append $names $name }}{{ end -}}
{{- end -}}
{{- end -}}
{{ join ", " $names }}
{{- end }}
