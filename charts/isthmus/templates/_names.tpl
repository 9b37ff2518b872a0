{{/* Namespaces. Agents and charon need a namespace of their own, whose label admits pods in the host's network. */}}
{{- define "isthmus.gatewayNamespace" -}}isthmus-gateway{{- end }}
{{- define "isthmus.ipsecNamespace" -}}isthmus-ipsec{{- end }}

{{/* Directory of charon's socket in the pods of agent and charon. */}}
{{- define "isthmus.charonDirectory" -}}/run/isthmus{{- end }}

{{/* Labels by which a workload finds its pods; the argument is its component. They can never change. */}}
{{- define "isthmus.selector" -}}
app.kubernetes.io/name: isthmus
app.kubernetes.io/component: {{ . }}
{{- end }}

{{/* Labels of every object of the release. */}}
{{- define "isthmus.labels" -}}
app.kubernetes.io/part-of: isthmus
{{- end }}

{{/* Metadata of a CustomResourceDefinition besides its name. */}}
{{- define "isthmus.definitionMetadata" -}}
{{- if .Values.crds.keep -}}
annotations:
  helm.sh/resource-policy: keep
{{ end -}}
labels:
  {{- include "isthmus.labels" . | nindent 2 }}
{{- end }}
