{{/* The name that every object begins with. */}}
{{- define "fernweh.name" -}}
{{- if contains "fernweh" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-fernweh" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* What never changes of a layer: (dict "root" $ "layer" "speed"). */}}
{{- define "fernweh.selector" -}}
app.kubernetes.io/name: fernweh
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .layer }}
{{- end }}

{{- define "fernweh.labels" -}}
{{ include "fernweh.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "fernweh.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* Whom a layer lags behind: its group of readers, which each set of views has its own of, and the topic that it reads. */}}
{{- define "fernweh.group" -}}
{{ .root.Values.kafka.prefix }}-{{ .layer }}{{ if and (ne .layer "archive") (ne .root.Values.views "fernweh") }}-{{ .root.Values.views }}{{ end }}
{{- end }}
{{- define "fernweh.topic" -}}
{{ .root.Values.kafka.prefix }}.{{ if eq .layer "index" }}decisions{{ else }}events{{ end }}
{{- end }}

{{/* The settings of the program, as the file that FERNWEH_CONFIG names. */}}
{{- define "fernweh.settings" -}}
{{- $v := .Values -}}
{{- $serve := printf "%s-serve" (include "fernweh.name" .) -}}
{{- $within := printf "%s.%s" $serve .Release.Namespace -}}
{{- $s := dict
  "allowed-hosts" (join "," (concat (list $serve $within (printf "%s.svc" $within) (printf "%s.svc.cluster.local" $within)) $v.serve.hosts))
  "log-level" $v.logLevel "timezone" $v.timezone "data-dir" "/data" "views" $v.views
  "admin-addr" "0.0.0.0:9464" "serve-addr" "0.0.0.0:8081"
  "kafka-brokers" (required "kafka.brokers: at least one host:port" (join "," $v.kafka.brokers))
  "kafka-prefix" $v.kafka.prefix
  "partitions" (toString (int $v.kafka.partitions)) "kafka-replicas" (toString (int $v.kafka.replicas))
  "hbase-quorum" (required "hbase.quorum: at least one host:port" (join "," $v.hbase.quorum)) "hbase-root" $v.hbase.root
  "elastic-urls" (required "elastic.urls: at least one URL" (join "," $v.elastic.urls))
  "elastic-shards" (toString (int $v.elastic.shards)) "elastic-replicas" (toString (int $v.elastic.replicas))
  "ingest-assume-consent" (toString $v.ingest.assumeConsent) "ingest-cors-origins" (join "," $v.ingest.corsOrigins)
  "ingest-proxies" (join "," $v.ingest.proxies)
  "ingest-spool-size" $v.ingest.spoolSize
  "speed-visitors" (toString (int $v.speed.visitors))
  "batch-memory" $v.batch.memory "batch-segments" (toString (int $v.batch.segments)) "batch-schedule" ""
-}}
{{- if $v.kafka.tls.enabled }}{{ $_ := set $s "kafka-tls" "true" }}{{ end -}}
{{- if or $v.kafka.tls.caSecret $v.kafka.tls.certSecret }}{{ if not $v.kafka.tls.enabled }}{{ fail "kafka.tls.caSecret and certSecret mean nothing without kafka.tls.enabled" }}{{ end }}{{ end -}}
{{- if $v.kafka.tls.caSecret }}{{ $_ := set $s "kafka-tls-ca" "/secrets/kafka-ca/ca.crt" }}{{ end -}}
{{- if $v.kafka.tls.certSecret }}{{ $_ := set $s "kafka-tls-cert" "/secrets/kafka-cert/tls.crt" }}{{ $_ := set $s "kafka-tls-key" "/secrets/kafka-cert/tls.key" }}{{ end -}}
{{- with $v.kafka.sasl.mechanism }}{{ $_ := set $s "kafka-sasl-mechanism" . }}{{ $_ := set $s "kafka-sasl-password-file" "/secrets/kafka/password" }}{{ end -}}
{{- if $v.elastic.caSecret }}{{ $_ := set $s "elastic-ca" "/secrets/elastic-ca/ca.crt" }}{{ end -}}
{{- if and $v.elastic.existingSecret (eq $v.elastic.login "api-key") }}{{ $_ := set $s "elastic-api-key-file" "/secrets/elastic/api-key" }}{{ end -}}
{{- if and $v.elastic.existingSecret (eq $v.elastic.login "password") }}{{ $_ := set $s "elastic-password-file" "/secrets/elastic/password" }}{{ end -}}
{{- toYaml (mergeOverwrite $s $v.settings) -}}
{{- end }}

{{/* The Secrets that the program reads as files: name under /secrets -> Secret. */}}
{{- define "fernweh.secrets" -}}
{{- with .Values }}
{{- if .kafka.sasl.mechanism }}
kafka: {{ required "kafka.sasl.existingSecret: a Secret with username and password" .kafka.sasl.existingSecret }}
{{- end }}
{{- with .kafka.tls.caSecret }}
kafka-ca: {{ . }}
{{- end }}
{{- with .kafka.tls.certSecret }}
kafka-cert: {{ . }}
{{- end }}
{{- with .elastic.existingSecret }}
elastic: {{ . }}
{{- end }}
{{- with .elastic.caSecret }}
elastic-ca: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* A pod of a layer: (dict "root" $ "layer" "speed" "values" .Values.speed "args" (list "speed")), and where it differs:
     "archive": it has the archive; "claimed": /data is its own claim; "restart": of a job. */}}
{{- define "fernweh.pod" -}}
{{- $_ := merge . (dict "restart" "" "archive" false "claimed" false "scaled" false "env" list "port" 0 "ready" "/readyz") -}}
{{- $secrets := include "fernweh.secrets" .root | fromYaml -}}
metadata:
  labels: {{- include "fernweh.labels" . | nindent 4 }}
  annotations:
    fernweh/settings: {{ include "fernweh.settings" .root | sha256sum }} # other settings, other pods
    {{- with .root.Values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: {{ include "fernweh.name" .root }}
  automountServiceAccountToken: false
  enableServiceLinks: false # they would be FERNWEH_... variables, and the program refuses settings that it does not know
  terminationGracePeriodSeconds: 60
  {{- with .restart }}
  restartPolicy: {{ . }}
  {{- end }}
  {{- with .root.Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with .root.Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if and .archive (eq .root.Values.archive.storage.accessMode "ReadWriteOnce") }}
  affinity: # the archive's disk can be on one node only
    podAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels: {{- include "fernweh.selector" (dict "root" .root "layer" "archive") | nindent 16 }}
  {{- else }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - topologyKey: {{ . }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "fernweh.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: {{ .layer }}
      image: {{ include "fernweh.image" .root | quote }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args: {{- toYaml .args | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      env:
        - {name: FERNWEH_CONFIG, value: /etc/fernweh/settings.yaml}
        - {name: GOMEMLIMIT, value: {{ .values.goMemory | quote }}}
        {{- if .root.Values.kafka.sasl.mechanism }}
        - name: FERNWEH_KAFKA_SASL_USER
          valueFrom: {secretKeyRef: {name: {{ .root.Values.kafka.sasl.existingSecret }}, key: username}}
        {{- end }}
        {{- if and .root.Values.elastic.existingSecret (eq .root.Values.elastic.login "password") }}
        - name: FERNWEH_ELASTIC_USER
          valueFrom: {secretKeyRef: {name: {{ .root.Values.elastic.existingSecret }}, key: username}}
        {{- end }}
        {{- with .env }}{{ toYaml . | nindent 8 }}{{ end }}
      {{- if not .restart }}
      ports:
        - {name: admin, containerPort: 9464}
        {{- if .port }}
        - {name: http, containerPort: {{ .port }}}
        {{- end }}
      # A start creates or checks topics and tables first, which may take a while on busy servers.
      startupProbe:
        httpGet: {path: /healthz, port: admin}
        periodSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: admin}
        periodSeconds: 10
        timeoutSeconds: 3
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: {{ .ready }}, port: {{ if .port }}http{{ else }}admin{{ end }}}
        periodSeconds: 5
        timeoutSeconds: 3
      {{- end }}
      resources: {{- toYaml .values.resources | nindent 8 }}
      volumeMounts:
        - {name: settings, mountPath: /etc/fernweh, readOnly: true}
        - {name: data, mountPath: /data}
        {{- if .archive }}
        - {name: archive, mountPath: /data/archive}
        {{- end }}
        {{- range $name, $_ := $secrets }}
        - {name: {{ $name }}, mountPath: /secrets/{{ $name }}, readOnly: true}
        {{- end }}
  volumes:
    - name: settings
      configMap: {name: {{ include "fernweh.name" .root }}}
    {{- if not .claimed }}
    - name: data # a lock, and nothing that must stay
      emptyDir: {sizeLimit: 64Mi}
    {{- end }}
    {{- if .archive }}
    - name: archive
      persistentVolumeClaim: {claimName: {{ .root.Values.archive.storage.existingClaim | default (printf "%s-archive" (include "fernweh.name" .root)) }}}
    {{- end }}
    {{- range $name, $secret := $secrets }}
    - name: {{ $name }}
      secret: {secretName: {{ $secret }}, defaultMode: 288} # 0440: root and this group
    {{- end }}
{{- end }}

{{/* A layer that keeps nothing of its own: a Deployment. "scaled": its replicas are another's to say. */}}
{{- define "fernweh.deployment" -}}
{{- $_ := merge . (dict "restart" "" "archive" false "claimed" false "scaled" false "env" list "port" 0 "ready" "/readyz") -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "fernweh.name" .root }}-{{ .layer }}
  labels: {{- include "fernweh.labels" . | nindent 4 }}
spec:
  {{- if not .scaled }}
  replicas: {{ .values.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  strategy:
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  selector:
    matchLabels: {{- include "fernweh.selector" . | nindent 6 }}
  template: {{- include "fernweh.pod" . | nindent 4 }}
{{- end }}

{{/* hh:mm as the first two fields of a cron line. */}}
{{- define "fernweh.cron" -}}
{{- $parts := splitList ":" . -}}
{{ index $parts 1 | atoi }} {{ index $parts 0 | atoi }} * * *
{{- end }}
