"""URLs of the site."""

from __future__ import annotations

from django.urls import path
from documents import views

urlpatterns = [
    path("", views.index, name="index"),
    path("documents/<int:pk>/", views.download, name="download"),
    path("documents/<int:pk>/delete/", views.delete, name="delete"),
]
