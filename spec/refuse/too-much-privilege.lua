-- expect: too-much-privilege.lua:2: "sys_admin" can't be granted: it reaches beyond the sandbox's own processes; only net_bind_service can
return policy "x" { process = { capabilities = { "sys_admin" } } }
