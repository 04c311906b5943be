from django.urls import path
from news import views

urlpatterns = [path("events", views.events), path("add", views.add)]
