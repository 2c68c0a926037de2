{{/* The name of everything that belongs to the control plane. Two releases need two namespaces, or a nameOverride. */}}
{{- define "sekisho.name" -}}
{{- .Values.nameOverride | default "sekisho-control" -}}
{{- end -}}

{{/* The name of what belongs to no namespace. */}}
{{- define "sekisho.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "sekisho.name" .) -}}
{{- end -}}

{{- define "sekisho.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "sekisho.name" .) -}}
{{- end -}}

{{- define "sekisho.selector" -}}
app.kubernetes.io/name: sekisho-control
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sekisho.labels" -}}
{{ include "sekisho.selector" . }}
app.kubernetes.io/part-of: sekisho
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* An image's reference, of a dict of `image` and `version`. */}}
{{- define "sekisho.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .version) -}}
{{- end -}}
{{- end -}}

{{/* What the restricted Pod Security Standard asks of a container, and a root file system that nobody writes to. */}}
{{- define "sekisho.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: { drop: [ALL] }
privileged: false
readOnlyRootFilesystem: true
{{- end -}}

{{- define "sekisho.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "sekisho.kinds" -}}
[abuserules, countryrules, egresspools, loginguards, mailgateways, notificationchannels, ratelimits, submissionpolicies]
{{- end -}}

{{- define "sekisho.kindsStatus" -}}
[abuserules/status, countryrules/status, egresspools/status, loginguards/status, mailgateways/status, notificationchannels/status, ratelimits/status, submissionpolicies/status]
{{- end -}}
