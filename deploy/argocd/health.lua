-- The health of every kind of sekisho.dev, for argocd-cm: resource.customizations.health.sekisho.dev_MailGateway and so on.
local health = { status = "Progressing", message = "nobody has looked at it yet" }
local status = obj.status
if status == nil or status.observedGeneration ~= obj.metadata.generation then
  return health
end
health.status = "Healthy"
health.message = ""
for _, condition in ipairs(status.conditions or {}) do
  if condition.status == "True" and condition.type == "Stalled" then
    return { status = "Degraded", message = condition.message }
  end
  if condition.status == "True" and condition.type == "Reconciling" then
    health = { status = "Progressing", message = condition.message }
  end
end
return health
