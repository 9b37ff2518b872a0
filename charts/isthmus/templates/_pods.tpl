{{/* Reference of an image; the arguments are the context and a component. */}}
{{- define "isthmus.image" -}}
{{- $context := index . 0 }}{{ $component := index . 1 }}{{ $image := $context.Values.image -}}
{{- $digest := get $image.digests $component -}}
{{ $image.registry }}/isthmus-{{ $component }}
{{- if $digest }}@{{ $digest }}{{ else }}:{{ $image.tag | default $context.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Image of a container, as above. */}}
{{- define "isthmus.containerImage" -}}
image: {{ include "isthmus.image" . | quote }}
imagePullPolicy: {{ (index . 0).Values.image.pullPolicy }}
{{- end }}

{{/* Fields of every pod. No Service of ours may become a variable that reads as a setting. */}}
{{- define "isthmus.podDefaults" -}}
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Security context of a pod under the Pod Security Standard "restricted", and of its container. */}}
{{- define "isthmus.restrictedPod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}
{{- define "isthmus.restrictedContainer" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Variables of every process that talks to the API server. */}}
{{- define "isthmus.environment" -}}
{{- with .Values.apiServer }}
{{- if .host }}
- name: KUBERNETES_SERVICE_HOST
  value: {{ .host | quote }}
- name: KUBERNETES_SERVICE_PORT
  value: {{ .port | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The settings that controller and agent share. */}}
{{- define "isthmus.settings" -}}
{{- $common := dict "cloud_id" .Values.cloud.id "gateway_cidrs" .Values.cloud.gatewayCIDRs -}}
{{ merge $common .Values.settings | toYaml }}
{{- end }}

{{/* Probes. /livez fails if a loop of the process hangs, which nothing outside of the process can cause. */}}
{{- define "isthmus.probes" -}}
{{- $get := dict "path" "/livez" "port" .port "scheme" "HTTP" -}}
{{- if .host }}{{ $get = set $get "host" .host }}{{ end -}}
startupProbe:
  httpGet: {{ toJson $get }}
  periodSeconds: 2
  failureThreshold: 60
  timeoutSeconds: 5
livenessProbe:
  httpGet: {{ toJson $get }}
  periodSeconds: 10
  failureThreshold: 6
  timeoutSeconds: 5
readinessProbe:
  httpGet: {{ toJson (merge (dict "path" "/readyz") $get) }}
  periodSeconds: 5
  failureThreshold: 3
  timeoutSeconds: 5
{{- end }}

{{/* Where pods may run; the argument is the values of their workload. */}}
{{- define "isthmus.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A pod that runs one of the checks of the controller's image and ends. */}}
{{- define "isthmus.checkingPod" -}}
{{ include "isthmus.podDefaults" .context }}
serviceAccountName: {{ .account }}
automountServiceAccountToken: true
restartPolicy: Never
{{- with include "isthmus.placement" .context.Values.controller | trim }}
{{ . }}
{{- end }}
securityContext:
  {{- include "isthmus.restrictedPod" . | nindent 2 }}
containers:
  - name: {{ .name }}
    {{- include "isthmus.containerImage" (list .context "controller") | nindent 4 }}
    args: [{{ .command }}]
    {{- with include "isthmus.environment" .context }}
    env:
      {{- . | nindent 6 }}
    {{- end }}
    securityContext:
      {{- include "isthmus.restrictedContainer" . | nindent 6 }}
    resources: {requests: {cpu: 10m, memory: 64Mi}, limits: {memory: 256Mi}}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: 16Mi}
{{- end }}
