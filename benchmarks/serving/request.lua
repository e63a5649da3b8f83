-- wrk: one request, again and again; its body and headers come from the environment.
local file = io.open(os.getenv("BODY"), "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
for name, value in string.gmatch(os.getenv("HEADERS"), "([^=;]+)=([^;]+)") do
  wrk.headers[name] = value
end
