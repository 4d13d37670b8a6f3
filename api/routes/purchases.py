"""The history of a purchase: a list of its versions at a path of its own."""

from fastapi import APIRouter

from api.parameters import key_annotations, row_model
from api.release import Mart
from api.routes.marts import add_list
from api.service import Service

PURCHASES = "fct_purchases"
VERSIONS = "fct_purchase_versions"


def router(service: Service, marts: dict[str, Mart]) -> APIRouter:
    """Return the route, if both marts are public."""
    routes = APIRouter()
    if {PURCHASES, VERSIONS} <= set(marts):
        versions = marts[VERSIONS]
        fixed = key_annotations(marts[PURCHASES])
        add_list(
            routes,
            service,
            versions,
            "/purchases/{purchase_id}/history",
            row_model(versions),
            fixed,
        )
    return routes
