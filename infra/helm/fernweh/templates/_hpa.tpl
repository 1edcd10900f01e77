{{/* Scaling by CPU: "kind" of what is scaled, "calm": seconds of less work before a pod goes. */}}
{{- define "fernweh.hpa" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "fernweh.name" .root }}-{{ .layer }}
  labels: {{- include "fernweh.labels" . | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: {{ .kind }}, name: {{ include "fernweh.name" .root }}-{{ .layer }}}
  minReplicas: {{ .values.autoscaling.min }}
  maxReplicas: {{ .values.autoscaling.max }}
  behavior:
    scaleDown:
      stabilizationWindowSeconds: {{ .calm }}
      policies: [{type: Pods, value: 1, periodSeconds: 120}]
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: {{ .values.autoscaling.cpu }}}}
{{- end }}
