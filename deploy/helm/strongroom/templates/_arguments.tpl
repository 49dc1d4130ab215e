{{- /* The operator's command line: what differs from its own defaults. */}}
{{- define "strongroom.arguments" -}}
{{- if and (gt (int .Values.replicaCount) 1) (not .Values.leaderElect) -}}
{{- fail "more than one replica needs leaderElect: true, or each of them would write" -}}
{{- end -}}
{{- $keyed := eq .Values.dataHash.kind "keyed" -}}
{{- if and $keyed (not .Values.dataHash.secretName) -}}
{{- fail "dataHash.kind: keyed needs dataHash.secretName" -}}
{{- end -}}
- operator
- --loglevel={{ .Values.log.level }}
- --log-format={{ .Values.log.format }}
- --metrics-addr=:{{ .Values.metrics.listen.port }}
{{- with include "strongroom.namespaces" . | fromJsonArray }}
- --namespace={{ join "," . }}
{{- end }}
{{- with .Values.scope.namespaceSelector }}
- {{ printf "--namespace-selector=%s" . | quote }}
{{- end }}
{{- if .Values.leaderElect }}
- --enable-leader-election
- --leader-election-id={{ include "strongroom.leaseName" . }}
{{- end }}
{{- with .Values.controllerClass }}
- {{ printf "--controller-class=%s" . | quote }}
{{- end }}
{{- if not .Values.processClusterStore }}
- --enable-cluster-store-reconciler=false
{{- end }}
{{- if not .Values.processSecretStore }}
- --enable-secret-store-reconciler=false
{{- end }}
{{- if not .Values.processClusterExternalSecret }}
- --enable-cluster-external-secret-reconciler=false
{{- end }}
{{- if not .Values.processPushSecret }}
- --enable-push-secret-reconciler=false
{{- end }}
{{- if not .Values.processClusterPushSecret }}
- --enable-cluster-push-secret-reconciler=false
{{- end }}
- --store-requeue-interval={{ .Values.storeRequeueInterval }}
{{- if .Values.extendedMetricLabels }}
- --enable-extended-metric-labels
{{- end }}
- --ambient-credentials={{ .Values.ambientCredentials }}
- --store-policies={{ .Values.storePolicies }}
- --kes={{ .Values.kes }}
- --kes-patterns={{ .Values.kesPatterns }}
- --restarts={{ .Values.restarts.of }}
{{- if ne .Values.restarts.of "off" }}
- --restart-limit={{ .Values.restarts.limit }}
- --restart-settle={{ .Values.restarts.settle }}
- --restart-pause={{ .Values.restarts.pause }}
- --restart-patience={{ .Values.restarts.patience }}
{{- if .Values.restarts.reportPods }}
- --restart-report-pods
{{- end }}
{{- end }}
{{- if include "strongroom.reportsPods" . }}
- --report-pods
- {{ printf "--report-pods-except=%s" (join "," .Values.admission.excludedNamespaces) | quote }}
{{- end }}
- --aws-ssm={{ .Values.awsSsm.mode }}
- --aws-ssm-policy={{ .Values.awsSsm.policy }}
{{- with .Values.awsSsm.interval }}
- --aws-ssm-interval={{ . }}
{{- end }}
{{- with .Values.secretOperator.queueUrl }}
- {{ printf "--secret-operator-queue-url=%s" . | quote }}
{{- end }}
- --refresh-time={{ .Values.refreshTime }}
- --generator-gc-grace-period={{ .Values.generatorGracePeriod }}
{{- if .Values.takeOver }}
- --take-over
{{- end }}
{{- if .Values.allowLocalAddresses }}
- --allow-local-addresses
{{- end }}
{{- if $keyed }}
- --data-hash=keyed
- --data-hash-key-file=/etc/strongroom/data-hash/key
{{- end }}
{{- range .Values.events.sqsQueueUrls }}
- {{ printf "--events-sqs-queue-url=%s" . | quote }}
{{- end }}
{{- range .Values.events.pubsubSubscriptions }}
- {{ printf "--events-pubsub-subscription=%s" . | quote }}
{{- end }}
{{- if .Values.events.webhook.secretName }}
- --events-webhook-secret-file=/etc/strongroom/events/key
- --events-webhook-addr=:{{ .Values.events.webhook.port }}
{{- end }}
{{- if .Values.genericTargets.enabled }}
- --unsafe-allow-generic-targets
- {{ printf "--target-kinds=%s" (join "," .Values.genericTargets.kinds) | quote }}
{{- end }}
{{- if .Values.kamus.enabled }}
- --kamus
{{- if .Values.kamus.allowUnverified }}
- --kamus-allow-unverified
{{- end }}
{{ include "strongroom.kamus.keyArguments" . }}
{{- end }}
{{- range $flag, $value := .Values.extraArgs }}
{{- if or (kindIs "invalid" $value) (eq (toString $value) "") }}
- --{{ $flag }}
{{- else }}
- {{ printf "--%s=%s" $flag (toString $value) | quote }}
{{- end }}
{{- end }}
{{- end }}
