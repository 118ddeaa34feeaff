"""Makes the projects, users, roles and endpoints that the tests use in Keystone.

Every step is get-or-create, and a port or password that changed is put right, so
that it can run at every start. Settings come from the environment (see up).
"""

import json
import os
import urllib.error
import urllib.request

KEYSTONE = os.environ["KEYSTONE_URL"]
GLANCE = os.environ["GLANCE_URL"]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
token = None


def call(method, path, body=None):
    headers = {"Content-Type": "application/json"}
    if token:
        headers["X-Auth-Token"] = token
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(KEYSTONE + path, method=method, data=data, headers=headers)
    with opener.open(request, timeout=60) as answer:
        text = answer.read()
        return answer.headers, (json.loads(text) if text else None)


def ensure(kind, one, query, body, patch=None):
    """Returns the id of the first record that the query finds, or makes one."""
    found = call("GET", f"/{kind}?{query}")[1][kind]
    if not found:
        return call("POST", f"/{kind}", {one: body})[1][one]["id"]
    if patch:
        call("PATCH", f"/{kind}/{found[0]['id']}", {one: patch})
    return found[0]["id"]


def password_of(user, password):
    return {"auth": {"identity": {"methods": ["password"], "password": {"user": {**user, "password": password}}}}}


def ensure_user(name, password):
    uid = ensure("users", "user", f"name={name}", {"name": name, "domain_id": "default", "password": password})
    try:  # set it only where it differs: that revokes the user's tokens
        call("POST", "/auth/tokens", password_of({"id": uid}, password))
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise
        call("PATCH", f"/users/{uid}", {"user": {"password": password}})
    return uid


admin = password_of({"name": "admin", "domain": {"id": "default"}}, os.environ["ADMIN_PASSWORD"])
admin["auth"]["scope"] = {"project": {"name": "admin", "domain": {"id": "default"}}}
token = call("POST", "/auth/tokens", admin)[0]["X-Subject-Token"]

projects = {
    name: ensure("projects", "project", f"name={name}", {"name": name, "domain_id": "default"})
    for name in ("service", "demo", "demo2")
}
users = {
    "glance": ensure_user("glance", os.environ["SERVICE_PASSWORD"]),
    "demo": ensure_user("demo", os.environ["DEMO_PASSWORD"]),
    "demo2": ensure_user("demo2", os.environ["DEMO_PASSWORD"]),
}
roles = {role["name"]: role["id"] for role in call("GET", "/roles")[1]["roles"]}
for name in ("admin", "member", "reader", "service"):
    if name not in roles:
        roles[name] = call("POST", "/roles", {"role": {"name": name}})[1]["role"]["id"]
for project, user, role in (
    ("service", "glance", "admin"),
    ("service", "glance", "service"),
    ("demo", "demo", "member"),
    ("demo2", "demo2", "member"),
):
    call("PUT", f"/projects/{projects[project]}/users/{users[user]}/roles/{roles[role]}")

service = ensure("services", "service", "type=image", {"type": "image", "name": "glance", "description": "Image"})
for interface in ("public", "internal", "admin"):
    ensure(
        "endpoints",
        "endpoint",
        f"service_id={service}&interface={interface}",
        {"service_id": service, "interface": interface, "url": GLANCE, "region_id": "RegionOne"},
        {"url": GLANCE},
    )
identity = call("GET", "/services?type=identity")[1]["services"][0]["id"]
for endpoint in call("GET", f"/endpoints?service_id={identity}")[1]["endpoints"]:
    if endpoint["url"] != KEYSTONE:
        call("PATCH", f"/endpoints/{endpoint['id']}", {"endpoint": {"url": KEYSTONE}})
