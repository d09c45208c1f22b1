from __future__ import annotations

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from example_project.support import views

app_name = "support"
urlpatterns = [
    path("", views.lobby, name="lobby"),
    path("login/", LoginView.as_view(template_name="support/login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("orders/<str:number>/", views.order, name="order"),
    path("orders/<str:number>/prepare/", views.prepare, name="prepare"),
    path("rooms/<slug:name>/", views.room, name="room"),
    path("rooms/<slug:name>/messages/", views.messages, name="messages"),
    path("rooms/<slug:name>/say/", views.say, name="say"),
]
