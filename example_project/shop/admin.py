"""The shop in the admin, and the dashboard of its e-mail jobs on an AdminSite of their own."""

from __future__ import annotations

from django.contrib import admin

from example_project.shop.models import CatalogItem, EmailJob, Order, OrderLine
from pleme_redis_django.admin import DashboardAdmin, JobModelAdmin
from pleme_redis_django.models import Dashboard

# A job model of the project's own gets the page that the package's has.
admin.site.register(EmailJob, JobModelAdmin)

EMAIL_DASHBOARD_SOCKET = "ws/email/dashboard/"


class EmailDashboardAdmin(DashboardAdmin):
    job_model = EmailJob
    websocket_path = EMAIL_DASHBOARD_SOCKET


# A dashboard shows one job table, so a second one is a second site; the log-in holds for both.
email_site = admin.AdminSite(name="email")
email_site.site_header = email_site.site_title = "E-mail jobs"
email_site.register(Dashboard, EmailDashboardAdmin)
email_site.register(EmailJob, JobModelAdmin)


@admin.register(CatalogItem)
class CatalogItemAdmin(admin.ModelAdmin):
    list_display = ["code", "name", "city", "country", "elevation_feet", "price_cents"]
    list_filter = ["country"]
    search_fields = ["code", "name", "city"]
    show_full_result_count = False


class OrderLineInline(admin.TabularInline):
    model = OrderLine
    raw_id_fields = ["item"]
    extra = 0


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["number", "customer_name", "email", "placed_at"]
    search_fields = ["number", "customer_name", "email"]
    inlines = [OrderLineInline]
